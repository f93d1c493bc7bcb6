"""What weights take on disk, from the headers of the files that hold them; the weights themselves are not read.

Safetensors begins with the length of a JSON object, and then the object: a dtype, a shape and two offsets a tensor
(github.com/huggingface/safetensors, Apache-2.0). A checkpoint of several files has an index with the sum.
"""

import json
from collections.abc import Mapping
from math import log
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.files import contents, reason
from engine.fleet.catalog.precision import PRECISIONS

INDEX = "model.safetensors.index.json"
MOST_HEADER_BYTES = 100_000_000  # safetensors' own limit
MOST_STORED_BYTES = 1e15
PLAIN = ("bf16", "int8", "int4")  # what a file of mixed formats is taken for


def stored_bytes(folder: Path) -> int:
    """Of all tensors in a folder's safetensors; 0 if it has none. Raises BadInput for a header that cannot be read."""
    index = folder / INDEX
    try:
        if index.is_file():
            about = _object(contents(index, MOST_HEADER_BYTES), index.name).get("metadata")
            total = about.get("total_size") if isinstance(about, dict) else None
            if isinstance(total, (int, float)) and 0 < total < MOST_STORED_BYTES:
                return int(total)
        return sum(_of_header(file) for file in sorted(folder.glob("*.safetensors")) if file.is_file())
    except OSError as wrong:
        raise BadInput("model", str(folder), f"a folder whose files can be read ({reason(wrong)})") from wrong


def _of_header(file: Path) -> int:
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 2 <= length <= MOST_HEADER_BYTES:
            raise BadInput("model", file.name, "a safetensors file, which begins with the length of its header")
        header = _object(opened.read(length), file.name)
    try:
        ends = [float(tensor["data_offsets"][1]) for name, tensor in header.items() if name != "__metadata__"]
        if not all(0 <= end < MOST_STORED_BYTES for end in ends):
            raise ValueError("an offset beyond any file")
        return int(max(ends, default=0))
    except (TypeError, KeyError, IndexError, ValueError, OverflowError) as wrong:
        raise BadInput("model", file.name, "a safetensors file whose header has the offsets of each tensor") from wrong


def _object(data: bytes, name: str) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as wrong:
        raise BadInput("model", name, f"a file whose header is JSON ({wrong})") from wrong
    if not isinstance(found, dict):
        raise BadInput("model", name, "a file whose header is a JSON object")
    return found


def nearest_precision(bytes_per_param: float) -> str:
    """The format that weights of such a mean width are nearest to."""
    return min(PLAIN, key=lambda name: abs(log(PRECISIONS[name].bytes / bytes_per_param)))
