"""Guess, lock, run, compare: lessons in the browser and in a notebook."""
