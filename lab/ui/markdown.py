"""Markdown as HTML, for pages of our own. The texts are the lab's; markup inside them is text all the same."""

from functools import lru_cache

from markdown_it import MarkdownIt

_parser = MarkdownIt("commonmark", {"html": False}).enable("table")


@lru_cache(512)
def to_html(text: str) -> str:
    """Markdown as HTML. Markup in it is escaped."""
    said: str = _parser.render(text)
    return said
