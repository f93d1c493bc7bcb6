"""`make gpu-check`: does the engine do on this machine's GPU what it does on a CPU, and how fast?

The stand-in takes the same checks in `tests/engine/live/test_stand_in.py`, where no speed is held to anything.
"""
