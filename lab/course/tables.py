"""What a round's charts show, as tables and as sentences: for whoever does not see them."""

from collections.abc import Mapping, Sequence

from engine.units import amount
from lab.ui.formatting import in_words, spread
from lessons.keys import Key, Value
from lessons.question import Answer, Bars, Choice, Curve, Lines

Table = dict[str, list[str]]


def guess_table(answer: Answer, guess: Value | None, key: Key, how: str = "measured") -> Table:
    """`guess` None: there was none. `how` the key came about."""
    if isinstance(answer, Choice):
        names = list(answer.options)
        yours = {"You": ["your guess" if name == guess else "" for name in names]} if guess is not None else {}
        found = [how if name == key.value else "" for name in names]
        return {"Answer": [answer.options[name] for name in names], **yours, how.capitalize(): found}
    assert not isinstance(guess, str)
    assert not isinstance(key.value, str)
    ranges = [f"{amount(low)} to {amount(high)}" for low, high in zip(key.low, key.high, strict=True)]
    unit = f", {answer.unit}" if answer.unit else ""
    places = {answer.x_label: [amount(x) for x in answer.x]} if isinstance(answer, Curve) else {}
    yours = {f"Your guess{unit}": [amount(value) for value in guess]} if guess is not None else {}
    return {
        **places,
        **yours,
        f"{how.capitalize()}{unit}": [amount(value) for value in key.value],
        "Range of the repeats": ranges,
    }


def guess_alt(answer: Answer, guess: Value | None, key: Key, how: str = "measured") -> str:
    """Guess and key in words, for screen readers."""
    between = spread(answer, key)
    over = f", over the repeats {between}" if between else ""
    yours = "" if guess is None else f"Your guess: {in_words(answer, guess)}. "
    return f"{yours}{how.capitalize()}: {in_words(answer, key.value)}{over}."


def view_alt(view: Bars | Lines) -> str:
    """A chart in words, for screen readers."""
    if isinstance(view, Bars):
        says = [f"{label}: {amount(value, view.unit)}" for label, value in view.shown().items()]
        return "Measured: " + "; ".join(says) + "."
    return f"{view.y_label} against {view.x_label}. " + " ".join(
        f"{name}: from {amount(points[0][1])} at {amount(points[0][0])} to {amount(points[-1][1])} at "
        f"{amount(points[-1][0])}."
        for name, points in view.points.items()
        if points
    )


def view_table(view: Bars | Lines) -> Table:
    """What a chart shows, as a table."""
    if isinstance(view, Bars):
        return {
            "": list(view.values),
            f"{view.which.capitalize()}, {view.unit}": [amount(value) for value in view.shown().values()],
            "All repeats": [", ".join(amount(value) for value in repeats) for repeats in view.values.values()],
        }
    rows = [(name, x, y) for name, points in series(view).items() for x, y in points]
    return {
        "": [name for name, _, _ in rows],
        view.x_label: [amount(x) for _, x, _ in rows],
        view.y_label: [amount(y) for _, _, y in rows],
    }


def series(view: Lines) -> Mapping[str, Sequence[tuple[float, float]]]:
    """Every line of a chart by its name: those measured, then the limits."""
    return {**view.points, **view.limits}
