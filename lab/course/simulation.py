"""A knob to turn after the answer: the same workers in simulated time, beside the real run, redrawn at once."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import streamlit as st

from engine.events import HandoffEnded, HandoffStarted, StepEnded, StepStarted
from engine.log import Log
from engine.plan import Plan
from engine.units import amount
from lab.course.tables import Table
from lab.ui.axes import SERIES
from lab.ui.style import STILL
from lessons.evidence import CannotTell, Evidence
from lessons.lesson import FreeKnob, Round
from lessons.simulated import simulated, worker_like

KINDS = {"reading": SERIES[0], "writing": SERIES[2], "both at once": SERIES[1], "carrying": SERIES[3]}
ROW_PX = 30


@st.fragment
def free_knob(asked: Round, evidence: Evidence, repeat: int, key: str) -> None:
    """`repeat`: of the evidence, the one whose numbers the answer tells. Draws nothing where there is no such knob."""
    free = asked.free
    if free is None:
        return
    try:
        worker = worker_like(evidence)
        real = evidence.repeats[min(repeat, len(evidence.repeats) - 1)]
        measured = free.numbers(real)
    except CannotTell:
        return
    st.subheader("Now turn the knob", anchor=False)
    st.markdown(
        f"{free.says} Nothing is run: this is a simulation, with the same scheduler, at the pace that your runs had."
    )
    label = free.knob.label[:1].upper() + free.knob.label[1:]
    start = free.at if free.at in free.knob.values else free.knob.values[0]
    value = st.select_slider(label, free.knob.values, start, format_func=free.knob.words, key=f"{key} free")
    other = simulated(free, worker, value)
    at = evidence.setting or free.at
    st.table(side_by_side(free, at, measured, value, free.numbers(other)), border="horizontal")
    rows = {**_rows("your run", real, other), **_rows("simulated", other, other)}
    st.plotly_chart(timeline(rows), key=f"{key} timeline", alt=timeline_alt(rows), config=STILL)


def side_by_side(
    free: FreeKnob, at: float, measured: Mapping[str, float], value: float, found: Mapping[str, float]
) -> Table:
    """Numbers of the run beside those simulated at another place of the knob."""
    return {
        "": list(measured),
        f"Your run, {free.knob.words(at)}": [amount(number) for number in measured.values()],
        f"Simulated, {free.knob.words(value)}": [amount(found[name]) for name in measured],
    }


# ---- what each worker did when

Span = tuple[str, float, float]  # kind, from, to: seconds


def _rows(whose: str, evidence: Evidence, wanted: Evidence) -> dict[str, list[Span]]:
    """A row for each worker and the pass, of the runs that `wanted` has, too."""
    runs = [run for run in wanted.logs if run in evidence.logs]
    rows: dict[str, list[Span]] = {}
    for run in runs:
        name = whose if len(runs) == 1 else f"{whose}, {run}"
        rows |= {f"{name}: {where}": found for where, found in spans(evidence.log(run)).items()}
    return rows


def spans(log: Log) -> dict[str, list[Span]]:
    """By station, and "pass" for the handoffs between them: from the first arrival on."""
    rows: dict[str, list[Span]] = {}
    began: dict[str, StepStarted] = {}
    left: dict[str, float] = {}
    for event in log.events:
        match event:
            case StepStarted():
                began[event.worker] = event
            case StepEnded() if start := began.pop(event.worker, None):
                rows.setdefault(station(log, event.worker), []).append((kind(start.plan), start.t, event.t))
            case HandoffStarted():
                left[event.request] = event.t
            case HandoffEnded() if event.request in left:
                rows.setdefault("pass", []).append(("carrying", left.pop(event.request), event.t))
    order = ("prep", "pass", "plating")
    return dict(sorted(rows.items(), key=lambda row: order.index(row[0]) if row[0] in order else int(row[0][-1])))


def station(log: Log, worker: str) -> str:
    """What a lesson calls it: of two workers."""
    number = int(worker.rpartition("-")[2])
    if log.scenario.deployment.kind == "disaggregated":
        return "plating" if number else "prep"
    return f"cook {number + 1}"


def kind(plan: Plan) -> str:
    """What a step does: read a prompt, write tokens, or both."""
    read, write = any(piece.tokens > 1 for piece in plan), any(piece.tokens == 1 for piece in plan)
    return "both at once" if read and write else "reading" if read else "writing"


def timeline(rows: Mapping[str, Sequence[Span]]) -> go.Figure:
    """All rows on one time axis."""
    figure = go.Figure()
    for kind_, colour in KINDS.items():
        found = [(row, start, end) for row, spans_ in rows.items() for what, start, end in spans_ if what == kind_]
        if found:
            figure.add_bar(
                y=[row for row, _, _ in found],
                x=[1e3 * (end - start) for _, start, end in found],
                base=[1e3 * start for _, start, _ in found],
                orientation="h",
                name=kind_,
                marker={"color": colour, "line": {"width": 0}},
                hovertemplate="%{base:.0f} ms, for %{x:.0f} ms<extra></extra>",
            )
    figure.update_layout(
        barmode="overlay",
        bargap=0.25,
        height=110 + ROW_PX * len(rows),
        font={"size": 14},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        dragmode=False,
        showlegend=True,
    )
    figure.update_xaxes(title="ms", rangemode="tozero")
    figure.update_yaxes(automargin=True, categoryorder="array", categoryarray=list(rows)[::-1])
    return figure


def timeline_alt(rows: Mapping[str, Sequence[Span]]) -> str:
    """The timeline in words, for screen readers."""
    said = []
    for row, found in rows.items():
        longest = max(found, key=lambda span: span[2] - span[1])
        said.append(
            f"{row}: {len(found)} spans, the longest {longest[0]} for {amount(1e3 * (longest[2] - longest[1]))} ms"
        )
    return ". ".join(said) + "."
