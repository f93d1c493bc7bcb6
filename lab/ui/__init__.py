"""Widgets and words that belong to no feature."""
