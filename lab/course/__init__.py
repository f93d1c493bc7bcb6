"""Guess, lock, run, compare: the lessons in the browser and in notebooks."""
