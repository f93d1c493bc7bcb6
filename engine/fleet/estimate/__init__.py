"""Formulas: how long a phase takes on a GPU, and what a handoff weighs."""
