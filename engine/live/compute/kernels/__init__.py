"""Compiled kernels for small batches, which is what decode is made of."""
