"""Where splitting pays off: over one input or on a map of two, with the range of the boundary, and where you are."""

from collections.abc import Sequence
from math import log

import plotly.graph_objects as go

from engine.fleet.sweep.said import Boundary, Compared, Curve, Input, Plan
from engine.units import amount, in_time, in_words, percent
from lab.clusters.names import SIDES
from lab.clusters.sweep_charts import GREY, Table, plain, the_same
from lab.scene.words import LOOKS

HERE = "you are here"
MARKS = [digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5)]
DECADES = {"tickvals": MARKS[::3], "ticktext": [f"{mark:,.10g}" for mark in MARKS[::3]]}
TICKS = {"tickvals": MARKS, "ticktext": [f"{mark:,.10g}" for mark in MARKS]}
NAMES: dict[Input, str] = {"prompt": "prompt, tokens", "promise": "TPOT promise", "link": "link per GPU, GB/s"}


# ---- one input


def curve_says(curve: Curve) -> str:
    """Where splitting begins to pay, within which error, and where the question stands; or that nothing flips."""
    if curve.flip is None:
        return the_same(curve.same, f"at every {_called(curve.input)} simulated", curve.instead)
    first, then = ("co-location", "splitting") if _split_pays_above(curve) else ("splitting", "co-location")
    flip, low, high = (_about(value) for value in (curve.flip, curve.low, curve.high))
    close = ", which is too close to call" if curve.low <= curve.here <= curve.high else ""
    return (
        f"Up to {_told(curve.input, flip)} {first} sustains more, above it {then}. Rates may be off by "
        f"{percent(curve.error)}, so it lies between {_told(curve.input, low)} and {_told(curve.input, high)}. "
        f"You are at {_told(curve.input, curve.here)}{close}."
    )


def curve_figure(curve: Curve, simulated: Sequence[Compared]) -> go.Figure:
    """What the best plan of each kind sustains at each value, by formulas as lines and simulated as points."""
    figure = go.Figure()
    x = [_drawn(curve.input, at) for at in curve.at]
    points = [_drawn(curve.input, _value(one, curve.input)) for one in simulated]
    for kind, rates, of in (("colocated", curve.together, 0), ("disaggregated", curve.split, 1)):
        colour, symbol = LOOKS[kind]
        line = {"color": colour, "width": 2}
        figure.add_scatter(x=x, y=[rate or None for rate in rates], mode="lines", line=line, name=SIDES[kind])
        figure.add_scatter(
            x=points,
            y=[_plans(one)[of].rate_per_s or None for one in simulated],
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 10},
            error_y={"type": "percent", "value": 100 * curve.error, "color": colour},
            name=f"{SIDES[kind]}, simulated",
        )
    if curve.flip is not None:
        low, high = (_drawn(curve.input, value) for value in (curve.low, curve.high))
        figure.add_vrect(x0=low, x1=high, fillcolor=GREY, opacity=0.25, line_width=0)
        figure.add_vline(_drawn(curve.input, curve.flip), line={"color": GREY, "width": 2})
    figure.add_vline(_drawn(curve.input, curve.here), line={"color": GREY, "width": 1, "dash": "dash"})
    low, high = _shown(curve)
    figure.add_annotation(
        x=log(_drawn(curve.input, curve.here), 10),
        y=1,
        yref="paper",
        yanchor="top",
        xanchor="left" if curve.here**2 < low * high else "right",
        text=HERE,
        showarrow=False,
    )
    unit = {"prompt": "prompt, tokens", "promise": "TPOT promise, ms", "link": "link per GPU, GB/s"}[curve.input]
    figure.update_xaxes(
        type="log", title=unit, range=[log(_drawn(curve.input, end), 10) for end in (low, high)], **TICKS
    )
    figure.update_yaxes(type="log", title="requests/s within both SLOs", **TICKS)
    return plain(figure, 420)


def curve_table(about: Input, simulated: Sequence[Compared]) -> Table:
    """The simulated points as a table."""
    return {
        NAMES[about].capitalize(): [_told(about, _value(one, about)) for one in simulated],
        "Best co-located plan": [_plan(one.together) for one in simulated],
        "Best split": [_plan(one.split) for one in simulated],
    }


# ---- prompt against promise


def map_says(found: Boundary, here: tuple[int, float]) -> str:
    """Where the question stands on the map; or that the answer is the same everywhere on it."""
    if found.same:
        return the_same(found.same, "for every prompt and TPOT promise on this map", found.instead)
    prompt, promise = here
    row = min(range(len(found.promises)), key=lambda n: abs(log(found.promises[n] / promise)))
    column = min(range(len(found.prompts)), key=lambda n: abs(log(found.prompts[n] / prompt)))
    gain = found.gains[row][column]
    kind = _kind(gain, found.error)
    who = {"tie": "too close to call", "none": "out of reach of both"}.get(kind, f"on the {SIDES.get(kind)} side")
    return (
        f"The line is where both sustain the same. You are {who}, at {prompt:,} tokens and {_told('promise', promise)}."
    )


def map_figure(found: Boundary, simulated: Sequence[Compared], here: tuple[int, float]) -> go.Figure:
    """For each prompt and TPOT target who sustains more, the flip between them, and where the question stands."""
    figure = go.Figure()
    cells = [
        (prompt, promise, gain)
        for promise, row in zip(found.promises, found.gains, strict=True)
        for prompt, gain in zip(found.prompts, row, strict=True)
    ]
    looks = {kind: LOOKS[kind] for kind in ("colocated", "disaggregated")}
    looks |= {"tie": (GREY, "cross-thin-open"), "none": (GREY, "x-thin-open")}
    words = {**SIDES, "tie": f"the same within {percent(found.error)}", "none": "none meets the SLOs"}
    for kind, (colour, symbol) in looks.items():
        mine = [(prompt, promise) for prompt, promise, gain in cells if _kind(gain, found.error) == kind]
        if mine:
            figure.add_scatter(
                x=[prompt for prompt, _ in mine],
                y=[1e3 * promise for _, promise in mine],
                name=words[kind],
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": 9, "line": {"color": colour, "width": 1.5}},
            )
    _lines(figure, found)
    for name, symbol, size, points in (
        ("simulated", "circle-open", 18, [(one.prompt_tokens, one.tpot_slo_s) for one in simulated[1:]]),
        (HERE, "star-open", 24, [here]),
    ):
        figure.add_scatter(
            x=[prompt for prompt, _ in points],
            y=[1e3 * promise for _, promise in points],
            name=name,
            mode="markers",
            marker={"color": "#0072b2", "symbol": symbol, "size": size, "line": {"width": 3}},
        )
    figure.update_xaxes(type="log", title="prompt, tokens", showgrid=False, **DECADES)
    figure.update_yaxes(type="log", title="TPOT promise, ms", showgrid=False, **TICKS)
    return plain(figure, 500)


def map_table(simulated: Sequence[Compared]) -> Table:
    """The simulated points as a table."""
    return {
        "Prompt": [f"{one.prompt_tokens:,}" for one in simulated],
        "TPOT promise": [_told("promise", one.tpot_slo_s) for one in simulated],
        "Best co-located plan": [_plan(one.together) for one in simulated],
        "Best split": [_plan(one.split) for one in simulated],
    }


def _lines(figure: go.Figure, found: Boundary) -> None:
    """The boundary, and dotted on both sides how far it may be off."""
    if found.same:
        return
    heights = [[None if gain is None else log(gain) for gain in row] for row in found.gains]
    off = log(1 + found.error)
    for level, dash, width, name in (
        (0.0, "solid", 3, "boundary"),
        (off, "dot", 1.5, "its range"),
        (-off, "dot", 1.5, ""),
    ):
        figure.add_contour(
            x=found.prompts,
            y=[1e3 * promise for promise in found.promises],
            z=heights,
            contours={"start": level, "end": level, "size": 1, "coloring": "none"},
            line={"color": GREY, "dash": dash, "width": width},
            name=name,
            showlegend=bool(name),
            showscale=False,
            hoverinfo="skip",
        )


# ---- parts


def _kind(gain: float | None, error: float) -> str:
    if gain is None:
        return "none"
    return "tie" if 1 / (1 + error) < gain < 1 + error else "disaggregated" if gain > 1 else "colocated"


def _split_pays_above(curve: Curve) -> bool:
    above = [n for n, at in enumerate(curve.at) if curve.flip is not None and at > curve.flip]
    return bool(above) and curve.split[above[0]] >= curve.together[above[0]]


def _shown(curve: Curve) -> tuple[float, float]:
    """As much as has you and the flip in it, with room on both sides."""
    if curve.flip is None:
        return min(curve.at), max(curve.at)
    low, high = min(curve.here, curve.low) / 3, max(curve.here, curve.high) * 3
    return max(min(curve.at), low), min(max(curve.at), high)


def _value(one: Compared, about: Input) -> float:
    if about == "prompt":
        return float(one.prompt_tokens)
    return one.tpot_slo_s if about == "promise" else one.link_bytes_per_s


def _drawn(about: Input, value: float) -> float:
    return {"prompt": 1.0, "promise": 1e3, "link": 1e-9}[about] * value


def _called(about: Input) -> str:
    return {"prompt": "prompt length", "promise": "TPOT promise", "link": "link"}[about]


def _about(value: float) -> float:
    """Two digits: a flip is not known better."""
    return float(f"{value:.2g}")


def _told(about: Input, value: float) -> str:
    if about == "prompt":
        return f"{value:,.0f} tokens"
    return in_time(value) if about == "promise" else in_words(value, "B/s")


def _plans(one: Compared) -> tuple[Plan, Plan]:
    return one.together, one.split


def _plan(plan: Plan) -> str:
    return f"{plan.label}: {amount(plan.rate_per_s)}/s" if plan.rate_per_s else "meets the SLOs at no rate"
