"""The course, as data: words in Markdown; scenarios, questions and claims in a little Python. No Streamlit, no torch.

A lesson is one folder beside this file, `lNN_name/` with `lesson.py` (which makes `LESSON`) and `text.md`. Its number
says where it comes; nothing else needs to know of it.
"""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from lessons.lesson import Lesson

__all__ = ["all_lessons", "lesson"]


@cache
def all_lessons() -> tuple[Lesson, ...]:
    """Every lesson, in order."""
    folders = sorted(module.name for module in iter_modules(__path__) if module.ispkg and module.name.startswith("l"))
    return tuple(import_module(f"lessons.{folder}.lesson").LESSON for folder in folders)


def lesson(slug: str) -> Lesson | None:
    """The lesson of that name, or None."""
    return next((found for found in all_lessons() if found.slug == slug), None)
