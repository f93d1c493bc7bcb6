"""How the noise harness compares verdicts; it is played by hand (docs/benchmarking.md)."""

from typing import Any

from lessons import all_lessons
from lessons.keys import Key
from lessons.lesson import Lesson, Round
from lessons.question import Choice, Number
from tests.noise import CLEAR, Played, Table, contradicted, told


def first(kind: type) -> tuple[Lesson, Round]:
    return next((of, asked) for of in all_lessons() for asked in of.rounds if isinstance(asked.answer, kind))


def played(kind: type, cores: int, key: Key | None, **more: Any) -> Played:
    of, asked = first(kind)
    setting = asked.knob.values[0] if asked.knob else 0.0
    return Played(of.slug, asked.name, cores, setting, 1.0, 3, cores, key, **more)


def number(value: float) -> Key:
    return Key((value,), (value,), (value,))


def test_right_against_off_is_a_contradiction_its_neighbours_are_none() -> None:
    assert contradicted("right", ["off", "off"])
    assert contradicted("off", ["right"])
    assert not contradicted("right", ["off", "close"])
    assert not contradicted("close", ["off"])
    assert not contradicted(CLEAR, ["right"])


def test_the_same_number_contradicts_nothing_another_one_does() -> None:
    quiet = played(Number, 0, number(1000.0))
    assert Table([quiet, played(Number, 1, number(1000.0))]).wrong == []
    assert Table([quiet, played(Number, 1, None)]).wrong == []
    assert Table([quiet, played(Number, 1, number(4000.0))]).wrong
    assert sum(Table([quiet, played(Number, 1, None)]).verdicts.values()) > 5


def test_another_option_contradicts_and_no_verdict_does_not() -> None:
    _, asked = first(Choice)
    assert isinstance(asked.answer, Choice)
    one, other, *_ = asked.answer.options
    quiet = played(Choice, 0, Key(one))
    wrong = Table([quiet, played(Choice, 2, Key(other))])
    assert wrong.wrong
    assert wrong.choices["an option", "another option"] == 1
    assert Table([quiet, played(Choice, 2, None)]).choices["an option", CLEAR] == 1


def test_a_claim_that_holds_under_noise_alone_is_contradicted() -> None:
    quiet = played(Number, 0, number(1.0), claims={"It freezes.": True})
    for holds, wrong in ((True, 0), (None, 0), (False, 1)):
        assert len(Table([quiet, played(Number, 1, number(1.0), claims={"It freezes.": holds})]).wrong) == wrong


def test_what_no_quiet_machine_has_played_is_said_to_be_missing() -> None:
    assert "for want of a quiet finding" in told([played(Number, 1, number(1.0))])


def test_crashes_are_counted_and_named() -> None:
    assert "crashes and dead ends 1" in told([played(Number, 1, None, trouble="ZeroDivisionError: x")])
