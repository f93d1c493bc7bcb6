"""Compiled kernels for small batches."""
