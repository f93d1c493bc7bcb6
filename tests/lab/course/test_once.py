"""What is made once of a value is made again of another one, also where the first is gone."""

from lab.course.once import KEPT, OnceFor


def test_it_is_made_once_for_the_same_value_and_not_for_an_equal_one() -> None:
    made: list[object] = []

    def make(value: list[int], more: str) -> str:
        made.append(value)
        return f"{value} {more}"

    once = OnceFor(make)
    value, equal = [1], [1]
    assert [once(value, "a"), once(value, "a"), once(equal, "b")] == ["[1] a", "[1] a", "[1] b"]
    assert len(made) == 2


def test_no_value_is_taken_for_one_that_was_there_before_it() -> None:
    once = OnceFor(str)
    assert all(once([n]) == f"[{n}]" for n in range(4 * KEPT))  # most of them are gone by the next one
