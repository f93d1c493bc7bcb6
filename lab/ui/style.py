"""The style that all pages share, on top of Streamlit's own: room for the menu, and WCAG AA contrast."""

import streamlit as st

SLIDER = 158  # pixels: six in a row on a laptop, two on a phone
STILL = {"displayModeBar": False}  # a Plotly chart without its toolbar
COMMON = """
.stMainBlockContainer { padding-top: 3.6rem; padding-bottom: 3rem; max-width: 1360px; }
.stMainBlockContainer h1 { font-size: 2rem; padding: 0; }
[data-testid=stHeaderActionElements] { display: none; }
.stApp [data-testid=stCaptionContainer] { color: inherit; opacity: .85; }
.stApp blockquote { color: inherit; opacity: 1; }
.stApp [data-testid^=stBaseButton-primary]:enabled { background: #0072b2; border-color: #0072b2; color: #fff; }
.stApp .js-plotly-plot text:not(.hoverlayer text) { fill: currentColor !important; }
.stApp [data-testid=stExpandSidebarButton] { width: auto; padding: 0 10px; color: inherit; }
.stApp [data-testid=stExpandSidebarButton] > span { display: none; }
.stApp [data-testid=stPageLink] :is(a, a *) { white-space: normal; overflow: visible; }
div:has(> [class*=st-key-quiet]) { display: none; }
.stApp [data-testid=stExpandSidebarButton]::after { content: "☰ Menu"; font-size: 16px; }
@media (max-width: 640px) { /* a choice that wraps is no longer one strip */
  .stButtonGroup [role=radiogroup] { gap: 6px; }
  .stButtonGroup [role=radio] { margin: 0; border-radius: 8px !important;
    border: 1px solid color-mix(in srgb, currentColor 30%, transparent) !important; }
}
"""
READING = """
.stMainBlockContainer { max-width: 980px; }
.stMainBlockContainer h1 { padding-bottom: .6rem; }
[data-testid=stNumberInputStepUp], [data-testid=stNumberInputStepDown] { display: none; }
.stApp [data-testid=stSliderTickBar] { color: inherit; transition: none; }
.stApp [data-testid=stSliderTickBar] p { color: inherit; }
"""


def style(*more: str) -> None:
    """Apply the shared style and `more` CSS to this page."""
    st.html(f"<style>{COMMON}{''.join(more)}</style>")
