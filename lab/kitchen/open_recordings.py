"""Recordings that a visitor opens, one or several beside each other: of engines, simulations or a server's client."""

import streamlit as st

from engine.errors import BadInput
from engine.grammar import admit
from engine.log import parse

MOST = 3  # beside each other


def choose_recordings() -> bool:
    """Let recordings be opened, into the session's "opened". Returns whether there are new ones."""
    with st.expander("Open a recording, or several beside each other"):
        files = st.file_uploader(
            f"Event logs (.jsonl or .jsonl.gz), up to {MOST} beside each other: of `run`, `simulate`, or of a server "
            "of yours by `run --endpoint URL --record FILE`",
            type=["jsonl", "gz"],
            accept_multiple_files=True,
            key="upload",
        )
        seen = [file.file_id for file in files]
        if not files or seen == st.session_state.get("upload_seen"):
            return False
        st.session_state["upload_seen"] = seen
        try:
            if len(files) > MOST:
                raise BadInput("recordings", len(files), f"at most {MOST}")
            logs = [parse(file.getvalue(), file.name) for file in files]
            for file, log in zip(files, logs, strict=True):
                admit(log.events, file.name)
            st.session_state["opened"] = logs
        except BadInput as wrong:
            st.error(str(wrong))
            return False
        return True
