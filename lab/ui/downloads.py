"""Files that a visitor downloads."""

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


def download(label: str, name: str, content: str | bytes) -> None:
    """A button that downloads `content` as the file `name`.

    The page does not rerun for it, and the content is ready before the click. Streamlit can also make it at the click,
    but such content belongs to no page: it is deleted when any two pages have ended a run, perhaps before the browser
    has fetched it.
    """
    suffix = Path(name).suffix
    icon = ":material/html:" if suffix == ".html" else ":material/download:"
    st.download_button(label, content, name, MIMES[suffix], icon=icon, on_click="ignore")
