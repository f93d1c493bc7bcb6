"""Vary one setting of a site and see which deployment wins at each value."""
