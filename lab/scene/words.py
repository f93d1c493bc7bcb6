"""The kitchen's words, which the course and the lab share, and what the browser writes of them."""

from lessons.words import WORDS, Word

__all__ = ["STATIONS", "WORDS", "Word", "stations"]

STATIONS = ("door", "prep", "pass", "plating", "cook", "portions", "hatch", "shelf", "served")


def stations() -> dict[str, dict[str, str]]:
    """What the browser module writes on its stations; a test keeps its copy equal to this."""
    return {
        key: {
            "name": WORDS[key].kitchen[0].upper() + WORDS[key].kitchen[1:],
            "serving": WORDS[key].serving,
            "says": WORDS[key].says,
        }
        for key in STATIONS
    }
