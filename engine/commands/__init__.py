"""Commands that would make `engine/cli.py` too long to read."""
