"""Markdown as HTML on pages of our own."""

import pytest
from markdown_it import MarkdownIt

from lab.ui.markdown import to_html
from lessons import all_lessons

TEXTS = {f"{lesson.slug}, {part}": text for lesson in all_lessons() for part, text in lesson.parts().items()}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_paragraph_by_paragraph_is_the_same_as_all_at_once(text: str) -> None:
    assert to_html(text) == MarkdownIt("commonmark", {"html": False}).enable("table").render(text)


def test_markup_in_it_is_text() -> None:
    assert to_html("<script>alert(1)</script>\n\n**so**") == (
        "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n<p><strong>so</strong></p>\n"
    )
