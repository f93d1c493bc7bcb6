"""Findings as a page of Markdown, a picture and JSON: written by `bench all`, never by hand."""

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import msgspec

from engine.bench.figure import HEAD, Figure, Findings, as_json, as_rows, said_versions
from engine.errors import BadInput
from engine.files import contents, reason, write_whole

LINE, LEFT, UNIT, MOST = 20, 420, 150, 3.0  # pixels per row, left of the bars, and at the goal; longest bar in goals
HALO = 'stroke="#ffffff" stroke-width="4" paint-order="stroke"'  # keeps a number on the goal's line readable
MOST_BYTES = 10_000_000
GOOD, BAD = "#2a7f62", "#b5502f"


def kept(folder: Path) -> list[Findings]:
    """The findings that `write` last wrote to this folder; empty if there are none. Raises BadInput."""
    file = folder / "performance.json"
    try:
        return msgspec.json.decode(contents(file, MOST_BYTES), type=list[Findings]) if file.exists() else []
    except (OSError, ValueError, msgspec.MsgspecError, RecursionError) as wrong:
        said = reason(wrong) if isinstance(wrong, OSError) else wrong
        raise BadInput("docs", str(folder), f"a folder whose {file.name} can be read ({said})") from wrong


def write(folder: Path, benches: Sequence[Findings]) -> list[Path]:
    """Write `performance.md`, its picture and `performance.json` to `folder`. Returns the files written."""
    picture = Path("pictures", "performance.svg")
    texts = {
        Path("performance.md"): page(benches, picture),
        picture: bars(benches),
        Path("performance.json"): "[\n" + ",\n".join(map(as_json, benches)) + "\n]\n",
    }
    for name, text in texts.items():
        write_whole(folder / name, text.encode())
    return [folder / name for name in texts]


def page(benches: Sequence[Findings], picture: Path) -> str:
    """The findings as a page of Markdown. `picture`: the path of its picture, relative to the page."""
    reached = [figure.reached for findings in benches for figure in findings.figures if figure.reached is not None]
    machines = " / ".join(dict.fromkeys(findings.machine for findings in benches))
    lines = [
        "# Performance",
        "",
        "Written by `split-kitchen bench all`; nothing here is typed by hand. Each value stands beside a limit or a",
        "peer that was measured in the same run, in turn with it; medians count.",
        "",
        f"- Machine: {machines}",
        f"- Of {len(reached)} figures with a goal, {sum(reached)} reach it.",
        "",
        f"![How near each figure with a goal comes to it]({picture.as_posix()})",
    ]
    for findings in benches:
        lines += ["", f"## {findings.bench}", ""]
        if findings.figures:
            lines += [_row(HEAD), _row(["---"] * len(HEAD)), *map(_row, as_rows(findings)), ""]
        lines += [f"- {note}" for note in findings.notes]
        lines += [f"- Measured: {findings.measured}, on {findings.machine}", f"- {said_versions(findings)}"]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def bars(benches: Sequence[Findings]) -> str:
    """An SVG with a bar for each figure that has a goal; the dashed line is the goal."""
    rows = [
        (f"{findings.bench}: {figure.name}" + (f" / {figure.against}" if figure.against else ""), nearness(figure))
        for findings in benches
        for figure in findings.figures
        if figure.reached is not None
    ]
    width, height = LEFT + int(UNIT * MOST) + 60, LINE * (len(rows) + 2)
    font = 'font-family="sans-serif" font-size="12"'
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {font}>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{LEFT + UNIT}" y="14" text-anchor="middle" fill="#333333">goal</text>',
    ]
    goal = f'x1="{LEFT + UNIT}" x2="{LEFT + UNIT}" y1="{LINE}" y2="{height - LINE}"'
    bars, words = [], []
    for number, (name, near) in enumerate(rows):
        top, long, fill = LINE * (number + 1), UNIT * min(near, MOST), GOOD if near >= 1 else BAD
        bars.append(f'<rect x="{LEFT}" y="{top + 3}" width="{long:.1f}" height="{LINE - 6}" fill="{fill}"/>')
        words += [
            f'<text x="{LEFT - 8}" y="{top + 14}" text-anchor="end" fill="#333333">{escape(name)}</text>',
            f'<text x="{LEFT + long + 6:.1f}" y="{top + 14}" fill="#333333" {HALO}>{near:.2f}</text>',
        ]
    drawn += [*bars, f'<line {goal} stroke="#333333" stroke-dasharray="4 3"/>', *words]
    return "\n".join([*drawn, "</svg>"]) + "\n"


def nearness(figure: Figure) -> float:
    """How near a figure is to its goal: 1 or more reaches it. With two bounds, the one closer to being missed."""
    judged = figure.value if figure.ratio is None else figure.ratio
    near = [judged / figure.least] if figure.least else []
    if figure.most is not None:
        near.append(figure.most / judged if judged > 0 else MOST)
    return min(near)
