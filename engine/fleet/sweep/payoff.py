"""Where splitting begins to pay off: over the prompt, the TPOT promise or the link, and on a map of two.

The advisor's formulas say what the best plan of each kind sustains at every value, in milliseconds. Where they cross,
and where the asker is, both plans are simulated, and the formulas are scaled to agree. A flip is known within the error
of simulated times, so it is a range.
"""

from collections.abc import Callable, Iterator, Sequence
from math import exp, inf, isfinite, log

import msgspec

from engine.fleet.advisor.candidates import Candidate, colocated, splits
from engine.fleet.advisor.capacity import ranking
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.search import tuned
from engine.fleet.advisor.trial import PRECISION
from engine.fleet.catalog.hardware import FabricSpec, fabrics
from engine.fleet.catalog.hf_config import model
from engine.fleet.catalog.sites import site
from engine.fleet.estimate.step_cost import calibrated
from engine.fleet.sweep.said import INPUTS, Begun, Boundary, Compared, Curve, Edge, Input, Plan, Said, Side, Sweep
from engine.units import in_time, in_words

PROMPTS = tuple(round(2 ** (n / 2)) for n in range(12, 35))  # 64 to 131,072 tokens
PROMISES = tuple(0.004 * 2 ** (n / 2) for n in range(14))  # 4 to 360 ms
LARGER = "llama-3.3-70b"
REFINED = 3  # times that the flip is simulated, each time where it is thought to be then
ON_THE_BOUNDARY = 3  # points of a map that are simulated
MOST = 1e3  # of a gain that is drawn: beyond it, one kind sustains next to nothing

Gain = float | None
Value = Callable[[Question], float]


class Best(msgspec.Struct, frozen=True):
    """By formulas: what the best plan of each kind sustains in requests/s, and which plan it is."""

    rates: tuple[float, float]
    plans: tuple[Candidate | None, Candidate | None]


def curve(asked: Sweep, about: Input) -> Iterator[Said]:
    """What was simulated, point after point, then the curve. Raises BadInput before the first of them."""
    question = question_of(asked)
    yield Begun(1 + REFINED + 2)
    values = [at for at in _values(question, about) if _possible(at)]
    found = [best(at) for at in values]
    x = [_value(at, about) for at in values]
    here, near = _value(question, about), _Scale()
    yield near.take(question, here)
    for end in (x[0], x[-1]) if x else ():  # the formulas may be off by another factor there
        if not near.knows(end):
            yield near.take(_at(question, about, end), end)
    for _ in range(REFINED):
        flip = _nearest_crossing(x, _gains(near, found, x), here)
        if flip is None or near.knows(flip, within=1 + error_of(question) / 2):
            break
        yield near.take(_at(question, about, flip), flip)
    scaled, gains = [near.scaled(*pair) for pair in zip(found, x, strict=True)], _gains(near, found, x)
    flip = _nearest_crossing(x, gains, here)
    low, high = _band(x, gains, flip, margin(question)) if flip else (0.0, 0.0)
    yield Curve(
        input=about,
        at=tuple(x),
        together=tuple(rates[0] for rates in scaled),
        split=tuple(rates[1] for rates in scaled),
        here=here,
        error=margin(question),
        flip=flip,
        low=low,
        high=high,
        same="" if flip else _everywhere(gains),
        instead=() if flip else tuple(_instead(question, [one for one in INPUTS if one != about], near, here)),
    )


def boundary(asked: Sweep) -> Iterator[Said]:
    """Prompt against TPOT promise. What was simulated, then the map. Raises BadInput before."""
    question = question_of(asked)
    yield Begun(1 + ON_THE_BOUNDARY)
    prompts = [tokens for tokens in PROMPTS[::2] if _possible(_at(question, "prompt", tokens))]
    rows = {tokens: [best(_at(_at(question, "prompt", tokens), "promise", s)) for s in PROMISES] for tokens in prompts}
    near = _Scale()
    yield near.take(question, question.isl_tokens)
    crossed = [tokens for tokens in prompts if _crossing_of(rows[tokens], near, tokens, question)]
    step = max(1, len(crossed) // ON_THE_BOUNDARY)
    for tokens in crossed[step // 2 :: step][:ON_THE_BOUNDARY]:
        if not (promise := _crossing_of(rows[tokens], near, tokens, question)):
            continue  # what was simulated meanwhile moved it off the map
        yield near.take(_at(_at(question, "prompt", tokens), "promise", promise), tokens)
    gains = {tokens: [_gain(near.scaled(one, tokens)) for one in row] for tokens, row in rows.items()}
    every = [gain for row in gains.values() for gain in row]
    same = _everywhere(every)
    yield Boundary(
        prompts=tuple(prompts),
        promises=PROMISES,
        gains=tuple(tuple(gains[tokens][n] for tokens in prompts) for n in range(len(PROMISES))),
        error=margin(question),
        same=same,
        instead=tuple(_instead(question, ("link",), near, question.isl_tokens)) if same else (),
    )


def question_of(asked: Sweep) -> Question:
    """As the advisor is asked. Raises BadInput."""
    where = site(asked.site)
    return Question(
        gpus=where.gpus,
        gpu=asked.gpu,
        model=asked.model,
        isl_tokens=asked.prompt_tokens,
        osl_tokens=asked.output_tokens,
        rate_per_s=1.0,
        ttft_slo_s=asked.ttft_slo_s,
        itl_slo_s=asked.tpot_slo_s,
        promised="tpot",
        fabric=where.road,
        one_port=where.one_port,
        tp=asked.tp,
    ).checked()


def best(question: Question) -> Best:
    """By formulas alone."""
    found = _ranked(question)
    rates = tuple(ranked[0][0] if ranked else 0.0 for ranked in found)
    plans = tuple(ranked[0][1] if ranked else None for ranked in found)
    return Best(rates, plans)  # type: ignore[arg-type]  # two of each


def _ranked(question: Question) -> list[list[tuple[float, Candidate]]]:
    """All plans of each kind, the best by formulas first."""
    return [ranking(question, kinds(question)) for kinds in (colocated, splits)]


def _gains(near: "_Scale", found: Sequence[Best], x: Sequence[float]) -> list[Gain]:
    return [_gain(near.scaled(*pair)) for pair in zip(found, x, strict=True)]


class _Scale:
    """What was simulated over what was foreseen, of each kind, by the value at which it was."""

    def __init__(self) -> None:
        self._at: list[tuple[float, tuple[float, float]]] = []

    def take(self, question: Question, x: float) -> Compared:
        """Simulate the best plan of each kind, and take note."""
        foreseen = best(question)
        found = [tuned(question, ranked) if ranked else None for ranked in _ranked(question)]
        rates = [one.sustained_per_s if one else 0.0 for one in found]
        factors = [
            simulated / said if said and simulated else 1.0
            for simulated, said in zip(rates, foreseen.rates, strict=True)
        ]
        self._at = sorted([*self._at, (log(x), (factors[0], factors[1]))])
        together, split = (
            Plan(one.candidate.label if one and rate else "", rate) for one, rate in zip(found, rates, strict=True)
        )
        road = question.road
        return Compared(question.isl_tokens, question.itl_slo_s, road.label, road.achieved_bytes_per_s, together, split)

    def knows(self, x: float, within: float = 1.001) -> bool:
        """Whether a value as near as that was simulated."""
        return any(abs(log(x) - at) < log(within) for at, _ in self._at)

    def scaled(self, one: Best, x: float) -> tuple[float, float]:
        """Between two simulated values the factors pass from one to the other; beyond them they stay."""
        together, split = (self._factor(kind, log(x)) for kind in (0, 1))
        return together * one.rates[0], split * one.rates[1]

    def _factor(self, kind: int, x: float) -> float:
        below = [pair for pair in self._at if pair[0] <= x]
        above = [pair for pair in self._at if pair[0] > x]
        if not below or not above:
            return (below[-1] if below else above[0])[1][kind]
        (x0, low), (x1, high) = below[-1], above[0]
        part = (x - x0) / (x1 - x0)
        return exp((1 - part) * log(low[kind]) + part * log(high[kind]))


# ---- values of an input


def _values(question: Question, about: Input) -> list[Question]:
    if about == "link":
        return [msgspec.structs.replace(question, fabric=road.name) for road in roads(question)]
    return [_at(question, about, value) for value in (PROMPTS if about == "prompt" else PROMISES)]


def _at(question: Question, about: Input, value: float) -> Question:
    """For a link, over the road nearest to so many bytes/s."""
    if about == "prompt":
        return msgspec.structs.replace(question, isl_tokens=max(1, round(value)))
    if about == "promise":
        return msgspec.structs.replace(question, itl_slo_s=value)
    nearest = min(roads(question), key=lambda road: abs(log(road.achieved_bytes_per_s / value)))
    return msgspec.structs.replace(question, fabric=nearest.name)


def _value(question: Question, about: Input) -> float:
    if about == "prompt":
        return float(question.isl_tokens)
    return question.itl_slo_s if about == "promise" else question.road.achieved_bytes_per_s


def roads(question: Question) -> list[FabricSpec]:
    """Those that could join these GPUs, the slowest first: of NVLinks only their own, which TP uses as well."""
    own = (question.road.name, question.card.peer)
    within = question.gpus <= question.card.node_gpus
    able = [
        road
        for road in fabrics().values()
        if road.kind in ("tcp", "rdma")
        or road.name == question.road.name
        or (within and road.name in (*own, question.card.host))
    ]
    by_rate = {road.achieved_bytes_per_s: road for road in able if road.name != question.road.name}
    by_rate[question.road.achieved_bytes_per_s] = question.road
    return [by_rate[rate] for rate in sorted(by_rate)]


def _possible(question: Question) -> bool:
    """Does anything serve such requests at all?"""
    return any(best(question).rates)


# ---- where it turns


def _gain(rates: tuple[float, float]) -> Gain:
    together, split = rates
    if not together and not split:
        return None
    return min(MOST, max(1 / MOST, split / together if together else inf))


def _crossings(x: Sequence[float], gains: Sequence[Gain], level: float = 1.0) -> Iterator[tuple[bool, float]]:
    """The values at which the gain passes `level`, between two values straight on log paper, and whether it does
    because one kind sustains nothing there."""
    for n in range(len(x) - 1):
        one, other = gains[n], gains[n + 1]
        if one is not None and other is not None and (one < level) != (other < level):
            part = log(level / one) / log(other / one)
            fails = not 1 / MOST < min(one, other) <= max(one, other) < MOST
            yield fails, exp((1 - part) * log(x[n]) + part * log(x[n + 1]))


def _nearest_crossing(x: Sequence[float], gains: Sequence[Gain], here: float, level: float = 1.0) -> float | None:
    found = [(fails, abs(log(value / here)), value) for fails, value in _crossings(x, gains, level)]
    return min(found)[2] if found else None


def edges(x: Sequence[float], rates: Sequence[tuple[float, float]], error: float) -> tuple[tuple[Edge, ...], Side]:
    """Where one kind begins to sustain more than the other, by the rates (together, split) at each value; or which
    sustains more everywhere."""
    gains = [_gain(pair) for pair in rates]
    found = [value for _, value in _crossings(x, gains)]
    return tuple(Edge(value, *_band(x, gains, value, error)) for value in found), _everywhere(gains)


def _band(x: Sequence[float], gains: Sequence[Gain], flip: float, error: float) -> tuple[float, float]:
    """Where the gain may be 1 for all we know: as far as it stays within the error of it on both sides, at most to the
    ends of what is known."""
    ends = [value for level in (1 / (1 + error), 1 + error) for _, value in _crossings(x, gains, level)]
    ends += [value for value, gain in zip(x, gains, strict=True) if gain is None] + [x[0], x[-1]]
    return max(end for end in ends if end <= flip), min(end for end in ends if end >= flip)


def _crossing_of(row: Sequence[Best], near: _Scale, tokens: int, question: Question) -> float | None:
    gains = [_gain(near.scaled(one, tokens)) for one in row]
    return _nearest_crossing(PROMISES, gains, question.itl_slo_s)


def _everywhere(gains: Sequence[Gain]) -> Side:
    """Who sustains most wherever anybody sustains anything; "" if it depends."""
    known = {gain >= 1 for gain in gains if gain is not None}
    if not known:
        return "none"
    return "" if len(known) == 2 else "disaggregated" if known == {True} else "colocated"


def error_of(question: Question) -> float:
    """The share by which simulated times may be off."""
    return calibrated(question.card, question.engine).error(question.shape)


def margin(question: Question) -> float:
    """The share by which two simulated capacities may differ and still be the same: times may be off, and so may the
    search for a rate."""
    return PRECISION * (1 + error_of(question)) - 1


# ---- what would change an answer that is the same everywhere


def instead(question: Question) -> Iterator[str]:
    """Other prompts, promises, links and models, each alone, with which the other kind would sustain more."""
    near = _Scale()
    near.take(question, question.isl_tokens)
    return _instead(question, INPUTS, near, question.isl_tokens)


def _instead(question: Question, others: Sequence[Input], near: _Scale, here: float) -> Iterator[str]:
    """By the formulas, scaled as where the asker stands."""
    for other in others:
        values = [at for at in _values(question, other) if _possible(at)]
        x = [_value(at, other) for at in values]
        gains = [_gain(near.scaled(best(at), here)) for at in values]
        if (flip := _nearest_crossing(x, gains, _value(question, other))) and isfinite(flip):
            yield f"{_named(other)} {_said(other, flip)} instead of {_said(other, _value(question, other))}"
    larger = msgspec.structs.replace(question, model=LARGER)
    if question.model != LARGER and model(LARGER).params > question.shape.params:
        now, then = _gain(best(question).rates), _gain(best(larger).rates)
        if now and then and (now < 1) != (then < 1):
            yield f"a larger model, such as {model(LARGER).label}"


def _named(about: Input) -> str:
    return {"prompt": "prompts of", "promise": "a TPOT promise of", "link": "a link of"}[about]


def _said(about: Input, value: float) -> str:
    if about == "prompt":
        return f"{float(f'{value:.2g}'):,.0f} tokens"
    return in_time(value) if about == "promise" else in_words(value, "B/s")
