"""Build and test the container image without a Docker engine: `python -m tests.image`, as root, on Debian.

The steps are read from the Dockerfile and carried out in a root filesystem of their own; then the lab runs in it as the
Dockerfile says: as that user, on a read-only root, in a network namespace that has nothing but itself.
"""
