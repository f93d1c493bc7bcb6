"""Widgets, styles and words that belong to no feature."""
