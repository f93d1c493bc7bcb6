"""A notebook for each lesson, and one to write policies in (`page.py`): `python -m lessons.notebooks` writes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lessons.lesson import Lesson, Round
from lessons.question import CONFIDENCES, Choice, Curve, Number

FOLDER = Path(__file__).parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}

# The one output that a notebook comes with: which way an order goes. It holds no result.
PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 90" role="img" font-family="sans-serif" font-size="14">'
    "<title>An order goes from the door to prep, over the pass, to plating</title>"
    '<rect width="640" height="90" fill="#fff"/>'
    + "".join(
        f'<rect x="{20 + 155 * n}" y="20" width="130" height="50" rx="6" fill="none" stroke="#444" stroke-width="2"/>'
        f'<text x="{85 + 155 * n}" y="42" text-anchor="middle">{name}</text>'
        f'<text x="{85 + 155 * n}" y="60" text-anchor="middle" font-size="12">{serving}</text>'
        for n, (name, serving) in enumerate(
            (("door", "queue"), ("prep", "prefill"), ("the pass", "KV handoff"), ("plating", "decode"))
        )
    )
    + "".join(f'<path d="M{150 + 155 * n} 45h25" stroke="#444" stroke-width="2"/>' for n in range(3))
    + "</svg>"
)


def file_name(lesson: Lesson) -> str:
    return f"{lesson.number:02}-{lesson.slug}.ipynb"


def notebook(lesson: Lesson) -> bytes:
    """The lesson as a notebook (nbformat 4.5), the same bytes each time."""
    cells = [
        text_cell(f"# {lesson.number}. {lesson.title}", lesson.text("Opening")),
        code_cell(f'from lab.course.notebook import Kit\n\nkit = Kit("{lesson.slug}")\nkit', picture=True),
    ]
    for asked in lesson.rounds:
        cells += [
            text_cell(f"## {asked.asks}", lesson.text(f"{asked.name} question"), _how(asked)),
            code_cell(_commit(asked)),
            code_cell(f'kit.run("{asked.name}")'),
            code_cell(f'kit.reveal("{asked.name}")'),
        ]
    cells += [
        text_cell("## What this shows, and what it does not", lesson.text("Limits")),
        text_cell("## In the cluster", lesson.text("In the cluster")),
    ]
    return packed(cells, lesson.slug)


def packed(cells: Sequence[Mapping[str, Any]], slug: str) -> bytes:
    """The cells as a notebook, the same bytes each time."""
    numbered = [{**cell, "id": f"{slug}-{n}"[-64:]} for n, cell in enumerate(cells)]
    whole = {"cells": numbered, "metadata": {"kernelspec": KERNEL}, "nbformat": 4, "nbformat_minor": 5}
    return msgspec.json.format(msgspec.json.encode(whole, order="sorted"), indent=1) + b"\n"


def _how(asked: Round) -> str:
    """What may be committed."""
    answer = asked.answer
    match answer:
        case Choice():
            says = "Answer with " + ", ".join(f'`"{name}"` ({words})' for name, words in answer.options.items()) + "."
        case Curve():
            xs = ", ".join(f"{x:g}" for x in answer.x)
            says = f"Answer with {answer.points} numbers in {answer.unit}, one for each of {answer.x_label} {xs}."
        case Number():
            says = f"Answer with a number in {answer.unit}, from {answer.low:g} to {answer.high:g}."
    if asked.knob is not None:
        says += f" And set {asked.knob.label}: " + ", ".join(map(asked.knob.words, asked.knob.values)) + "."
    sure = ", ".join(f'`"{word}"`' for word in CONFIDENCES)
    return f"{says} Put it in place of the dots below, and after `sure=` how sure you are: {sure}. Then run the cell."


def _commit(asked: Round) -> str:
    """No guess is filled in: whoever runs all cells has made none."""
    points = 1 if isinstance(asked.answer, Choice) else asked.answer.points
    guess = "..." if points == 1 else f"[{', '.join(['...'] * points)}]"
    setting = f", setting={asked.knob.values[0]:g}" if asked.knob else ""
    return f'kit.commit("{asked.name}", {guess}{setting}, sure=..., reason="")'


def text_cell(*paragraphs: str) -> dict[str, Any]:
    """Markdown."""
    return {"cell_type": "markdown", "metadata": {}, "source": "\n\n".join(filter(None, paragraphs))}


def code_cell(source: str, picture: bool = False) -> dict[str, Any]:
    """Code that is yet to run. `picture`: it comes with `PICTURE` as its output."""
    shown = {"output_type": "display_data", "metadata": {}, "data": {"image/svg+xml": PICTURE}}
    outputs = [shown] if picture else []
    return {"cell_type": "code", "metadata": {}, "execution_count": None, "source": source, "outputs": outputs}
