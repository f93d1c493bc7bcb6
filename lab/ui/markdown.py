"""Markdown as HTML, for pages of our own. The texts are the lab's; markup inside them is text all the same."""

from functools import lru_cache

from markdown_it import MarkdownIt

_parser = MarkdownIt("commonmark", {"html": False}).enable("table")


def to_html(text: str) -> str:
    """Markdown as HTML, without lists that have empty lines between their items. Markup in it is escaped."""
    return "".join(map(_paragraph, text.split("\n\n")))


@lru_cache(1024)  # what is said of one guess stands between paragraphs that a whole class reads
def _paragraph(text: str) -> str:
    said: str = _parser.render(text)
    return said
