"""A notebook that is written as one page of Markdown, in which blocks marked `cell` are cells of code."""

import re
from pathlib import Path

from engine.own_policy import RULES
from lessons.notebooks import FOLDER, code_cell, packed, text_cell

CELL = re.compile(r"^```cell\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
FOLDED = re.compile(r"^```python\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
PAGE = FOLDER / "be_the_cook.md"
FILE = FOLDER / "be-the-cook.ipynb"


def page_notebook(page: Path = PAGE) -> bytes:
    """The page as a notebook, the same bytes each time."""
    text = page.read_text("utf-8").replace("{rules}", "\n".join(f"- {rule[0].upper()}{rule[1:]}." for rule in RULES))
    pieces = CELL.split(text)  # words and code in turn
    cells = [code_cell(piece) if n % 2 else text_cell(piece.strip()) for n, piece in enumerate(pieces) if piece.strip()]
    return packed(cells, page.stem.replace("_", "-"))
