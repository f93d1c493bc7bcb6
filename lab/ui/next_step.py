"""The bar at the bottom of a page, always visible: which step this is, what to do next, and the button for it."""

from typing import Literal

import streamlit as st

from lab.ui.js_component import component
from lab.ui.style import READING, style

_arrive = component("arrive")

# The bar sticks to the window's lower edge, above the content that scrolls, and focused elements are kept clear of it.
# Fragments and forms around it have no box (`display: contents`): it would stick within that box only.
STYLE = """
.stMainBlockContainer { padding-bottom: 0; }
.stMain { scroll-padding-bottom: 130px; }
div:has(> .st-key-next_step) { position: sticky; bottom: 0; z-index: 5; margin-top: auto; }
[data-testid=stLayoutWrapper]:has(.st-key-next_step):not(:has(> .st-key-next_step)),
[data-testid=stLayoutWrapper] :is([data-testid=stForm], [data-testid=stVerticalBlock]:not(.st-key-next_step)):has(
  .st-key-next_step) { display: contents; }
.st-key-next_step { background: light-dark(#fff, #171614); border-top: 1px solid light-dark(#d0d7de, #3b434d);
  padding: 10px 0 14px; }
@media (min-width: 640px) { .st-key-next_step { flex-wrap: nowrap; } .st-key-next_step button { white-space: nowrap; } }
.st-key-next_step p { margin: 0; line-height: 1.35; }
"""


GO = "go"


def went_on() -> bool:
    """Whether the bar's button was pressed; known before the bar is drawn again."""
    return bool(st.session_state.get(GO))


def arrive(step: str, at: str = "arrive") -> None:
    """Move to the heading, or the line, in the page's container `at` whenever `step` changes."""
    style(READING, STYLE)
    go_to_heading(step, "page", at)


def go_to_heading(step: str, part: str, at: str = "arrive") -> None:
    """The same for a `part` of the page with steps of its own."""
    _arrive(data={"step": step, "at": at}, key=f"arrived {part}")


def next_step(
    where: str,
    does: str,
    button: str,
    *,
    ready: bool = True,
    back: bool = False,
    main: bool = True,
    step: str | None = "",
    at: str = "arrive",
    form: bool = False,
) -> Literal["", "go", "back"]:
    """Returns what was pressed. `step` and `at`: as of `arrive`; `step` is None in a fragment whose page has called it.
    `form`: the bar is in a form, which its button submits."""
    if step is not None:
        arrive(step, at)
    with st.container(key="next_step", horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{where}** · {does}", width="stretch")
        went_back = back and st.button("Back", type="tertiary", icon=":material/arrow_back:", key="back")
        press = st.form_submit_button if form else st.button
        went_on = bool(button) and press(button, type="primary" if main else "secondary", disabled=not ready, key=GO)
    return "go" if went_on else "back" if went_back else ""
