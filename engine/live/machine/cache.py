"""Where this machine keeps what takes long to make: converted models, measured speeds, compiled kernels."""

import os
from pathlib import Path


def cache_folder() -> Path:
    return Path(os.environ.get("SPLIT_KITCHEN_CACHE") or "~/.cache/split-kitchen").expanduser()
