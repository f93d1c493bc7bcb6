"""Vary one setting of a site, and find which deployment wins at each value."""
