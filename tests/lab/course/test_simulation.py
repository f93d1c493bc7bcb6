"""The free knob on a lesson's page."""

from itertools import pairwise

from streamlit.testing.v1 import AppTest

from lab.course.simulation import side_by_side, spans, timeline, timeline_alt
from lessons import lesson
from lessons.evidence import Evidence
from lessons.lesson import Lesson, Round
from tests.lessons.simulated import gathered, log_of
from tests.patience import PATIENCE_S


def station() -> tuple[Lesson, Round]:
    found = lesson("one-station")
    assert found is not None
    return found, found.round("freeze")


def show(asked: Round, evidence: Evidence) -> AppTest:
    def script(asked, evidence) -> None:  # type: ignore[no-untyped-def]  # its source is run by itself
        from lab.course.simulation import free_knob

        free_knob(asked, evidence, 0, "this")

    app = AppTest.from_function(script, args=(asked, evidence), default_timeout=PATIENCE_S)
    return app.run()


def cells(app: AppTest) -> dict[str, list[str]]:
    (table,) = app.table
    found: dict[str, list[str]] = table.value.to_dict("list")
    return found


def test_turning_the_knob_redraws_the_simulated_side_and_leaves_the_real_one() -> None:
    app = show(station()[1], gathered(*station()))
    assert not app.exception
    before = cells(app)
    app.select_slider(key="this free").set_value(1024.0).run()
    after = cells(app)
    assert "Your run, 512 tokens" in before
    assert after["Your run, 512 tokens"] == before["Your run, 512 tokens"]
    longer, as_it_was = after["Simulated, 1024 tokens"][0], before["Simulated, 512 tokens"][0]
    assert float(longer.replace(",", "")) > 1.5 * float(as_it_was.replace(",", ""))
    assert app.get("plotly_chart")


def test_a_round_without_one_and_runs_that_do_not_say_draw_nothing() -> None:
    of, asked = station()
    for other, evidence in ((of.round("check"), gathered(of, of.round("check"))), (asked, Evidence())):
        app = show(other, evidence)
        assert not app.exception
        assert not app.select_slider
        assert not app.table


def test_each_step_and_each_tray_has_its_place_on_the_time_axis() -> None:
    of, _ = station()
    runs = of.round("check").runs(0.0)
    found = spans(log_of(runs["two stations"]))
    assert list(found) == ["prep", "pass", "plating"]
    assert {kind for kind, _, _ in found["prep"]} == {"reading"}
    assert {kind for kind, _, _ in found["plating"]} == {"writing"}
    assert len(found["pass"]) == runs["two stations"].workload.requests
    for row in found.values():
        assert all(start < end for _, start, end in row)
        assert all(one[2] <= other[1] + 1e-9 for one, other in pairwise(row))
    drawn = timeline(found)
    assert sum(len(bars.x) for bars in drawn.data) == sum(map(len, found.values()))
    assert "plating" in timeline_alt(found)
    assert list(spans(log_of(runs["one station"]))) == ["cook 1", "cook 2"]


def test_the_two_sides_have_their_settings_above_them() -> None:
    free = station()[1].free
    assert free is not None
    table = side_by_side(free, 512.0, {"a, ms": 1.0}, 64.0, {"a, ms": 0.5})
    assert table == {"": ["a, ms"], "Your run, 512 tokens": ["1"], "Simulated, 64 tokens": ["0.5"]}
