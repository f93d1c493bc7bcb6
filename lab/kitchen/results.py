"""Below the scene: what was measured, who stood still and why, and what of it can be taken home."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from engine.causes import causes
from engine.client.summary import sentences
from engine.disturbed import disturbance
from engine.failures import said_first
from engine.log import Log, dump, seen_from_outside
from engine.stall import longest
from lab.kitchen.charts import gaps_alt, gaps_figure, results_table
from lab.scene.export_html import export_kitchens
from lab.scene.recordings import replayed
from lab.scene.share_card import share_card
from lab.scene.stall_words import kitchen_says
from lab.scene.words import kind_of, titles
from lab.ui.downloads import download

BY_RUN: dict[str | type[Any], Any] = {  # what tells one finished run from another
    Log: lambda log: (log.recorded_at, len(log.events), log.scenario)
}
DEFINITIONS = (
    "Tokens/s: all tokens, over the time from the first arrival to the last token. Longest stall: the longest gap "
    "between two tokens of one answer. The workers are processes that share one machine's memory bandwidth and stand "
    "in for GPUs: shapes carry over, numbers do not. Another run differs by some percent."
)


def show_results(logs: Sequence[Log], heading: str, *, gaps: bool) -> None:
    """Of runs that are over, in the order in which the scene shows them. `gaps`: also every gap, as a chart."""
    st.subheader(heading, anchor=False)
    for title, log in zip(titles(logs), logs, strict=True):
        for sentence in said_first(log.events):
            st.error(f"{title}. {sentence}", icon=":material/error:")
    st.table(results_table(logs), border="horizontal")
    for sentence in stalls_in_words(logs):
        st.markdown(sentence)
    if gaps:
        st.plotly_chart(gaps_figure(logs), key="gaps", alt=gaps_alt(logs))
    for log in logs:
        if seen_from_outside(log):
            st.caption(" ".join(sentences(log)))
        if words := disturbance(log.events, log.machine):
            st.warning(f"{titles([log])[0]}. {words}", icon=":material/warning:")
    st.caption(DEFINITIONS)
    share(logs)


def stalls_in_words(logs: Sequence[Log]) -> list[str]:
    """A sentence a run: its longest stall, and why it was."""
    sentences = []
    for title, log in zip(titles(logs), logs, strict=True):
        stall = longest(causes(log.events))
        says = kitchen_says(stall) if stall else "No answer stood still for over eight times the usual gap."
        sentences.append(f"**{title}**, longest stall: {says}")
    return sentences


def share(logs: Sequence[Log]) -> None:
    """One button: the moment as a card, and the runs as one page that replays them."""
    with st.container(horizontal=True):
        with st.popover("Share this moment", icon=":material/share:"):
            card = _card(list(logs))
            st.image(card)
            with st.container(horizontal=True):
                download("The card (SVG)", "kitchen.svg", card)
                download("As one HTML page", "kitchen.html", _page(list(logs)))
        for title, log in zip(titles(logs), logs, strict=True):
            download(f"Log: {title}", f"{kind_of(log)}.jsonl", dump(log))


@st.cache_data(max_entries=8, hash_funcs=BY_RUN)
def _card(logs: list[Log]) -> str:
    return share_card(logs)


@st.cache_data(max_entries=8, hash_funcs=BY_RUN)
def _page(logs: list[Log]) -> str:
    kitchens = [replayed(title, log) for title, log in zip(titles(logs), logs, strict=True)]
    return export_kitchens(kitchens, "Split Kitchen: " + " and ".join(k["title"] for k in kitchens))
