"""Bad values for every option of every command, and bad files for all that read files: one sentence each, or accepted.

`tests/test_fuzz.py` runs a short form with a fixed seed; `python -m tests.fuzz` (make fuzz) a long one.
"""
