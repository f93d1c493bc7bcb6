"""Recompute data/calibration.toml from public measurements: `python -m engine.fleet.fit FOLDER`.

FOLDER is the unpacked wheel `aiconfigurator-core` (Apache-2.0): `pip download --no-deps aiconfigurator-core`. It has
tables of single kernels, measured on ten kinds of GPU, and `silicon_sample.csv`, several thousand measurements of
whole servers. Only the fitted constants are kept here.
"""
