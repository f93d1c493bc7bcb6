"""Files that a visitor takes home."""

from pathlib import Path

import streamlit as st

MIMES = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".sh": "text/x-shellscript",
    ".svg": "image/svg+xml",
    ".yaml": "application/yaml",
}


def take_home(label: str, name: str, content: str | bytes) -> None:
    """A button that downloads `content` as the file `name`.

    The page does not run again for it, and the file is there before anybody asks. What Streamlit makes at the click
    belongs to no page, and the second page to end its run, anybody's, takes it away: perhaps before it was fetched.
    """
    suffix = Path(name).suffix
    icon = ":material/html:" if suffix == ".html" else ":material/download:"
    st.download_button(label, content, name, MIMES[suffix], icon=icon, on_click="ignore")
