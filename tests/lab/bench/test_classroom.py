"""What a simulated class counts, and how votes are counted for a real one."""

import os
import re
import time

from lab.bench.classroom import Class
from lab.bench.learners_page import LearnersPage
from lab.bench.process import cpu_s
from lab.bench.startup import Fresh
from lab.bench.streamlit_client import Motion, RunWatcher, WatchMessage
from lab.classroom.tally import tally_html
from lessons.book import Guess
from lessons.keys import Key
from lessons.question import Choice, Curve, Number


def test_only_tokens_made_while_the_socket_was_open_have_an_age() -> None:
    watch = RunWatcher()
    watch.take(100.0, WatchMessage(seq=2, now=5.0, motions=[Motion("token", 1.0), Motion("order", 1.0)]))
    watch.take(101.0, WatchMessage(seq=4, now=5.9, motions=[Motion("token", 5.8), Motion("step")]))
    assert watch.ages_s == [101.0 - 5.8]
    assert watch.offset_s == 95.0
    assert watch.whole


def test_a_socket_that_missed_a_motion_did_not_see_all() -> None:
    watch = RunWatcher()
    watch.take(0.0, WatchMessage(seq=1, motions=[Motion("order")]))
    watch.take(0.0, WatchMessage(seq=3, motions=[Motion("order")]))
    assert not watch.whole


def test_a_page_is_behind_from_the_instructor_s_press_and_not_by_coming_late() -> None:
    held = Class(Fresh("http://lab", 0), "key", 1.0)
    held.learners = [LearnersPage("lab:80", "ABCDE", "a cookie") for _ in range(3)]
    first, learner, late = held.learners
    first.drawn = [("a", 1.0), ("b", 10.0)]
    learner.drawn = [("a", 3.0), ("b", 10.5)]
    late.drawn = [("b", 17.0)]
    held.acts_s = [0.5, 9.75, 16.0]
    assert list(held.behind_s()) == [0.25, 0.75]


def test_what_a_process_used_is_what_it_says_itself() -> None:
    before_s, own_s = cpu_s(os.getpid()), time.process_time()
    while time.process_time() < own_s + 0.3:
        sum(range(1000))
    assert abs(cpu_s(os.getpid()) - before_s - (time.process_time() - own_s)) < 0.05


# ---- counts


def rows(table: str) -> list[tuple[str, ...]]:
    """The text of each row's cells."""
    found = re.findall(r"<tr[^>]*>(.*?)</tr>", table)
    return [tuple(re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)) for row in found]


def test_before_and_after_stand_beside_each_other() -> None:
    first, second = [Guess((5.0,), "sure"), Guess((50.0,), "sure")], [Guess((50.0,), "sure")] * 2
    assert rows(tally_html(Number("ms", 1, 10_000), [first, second], None)) == [
        ("Guess", "First vote", "Second vote"),
        ("1 to 10 ms", "1", "0"),
        ("10 to 100 ms", "1", "2"),
        ("100 to 1,000 ms", "0", "0"),
        ("1,000 to 10,000 ms", "0", "0"),
    ]


def test_the_measured_one_is_marked_only_once_there_is_a_key() -> None:
    answer, votes = Choice({"a": "<b>A</b>", "b": "B"}), [[Guess("a", "sure")]]
    before, after = tally_html(answer, votes, None), tally_html(answer, votes, Key("b"))
    assert "measured" not in before
    assert rows(after)[1:] == [("&lt;b&gt;A&lt;/b&gt;", "1"), ("B ◀ measured", "0")]


def test_a_curve_is_counted_where_the_table_says() -> None:
    answer = Curve(x=(64, 512), x_label="prompt, tokens", y_label="TTFT", unit="ms", low=1, high=10_000)
    table = rows(tally_html(answer, [[Guess((5_000.0, 50.0), "sure")]], Key((500.0, 5.0))))
    assert table[0] == ("Guess at 512 prompt, tokens", "First vote")
    assert table[1][0].endswith("◀ measured")
    assert table[2] == ("10 to 100 ms", "1")


def test_nobody_has_voted() -> None:
    assert rows(tally_html(Choice({"a": "A", "b": "B"}), [[]], None))[1:] == [("A", "0"), ("B", "0")]
