"""How people get into a class: its address, as the instructor's page tells it."""

from urllib.parse import urlsplit

import streamlit as st

from lab.classroom.service import Classroom
from lab.classroom.store import Room


def address(classroom: Classroom, path: str) -> str:
    """The address of one of the lab's pages, as somebody else's browser can open it."""
    here = urlsplit(st.context.url or "")
    beside = f"{here.scheme}://{here.netloc}{here.path.rpartition('/')[0]}"  # the lab may stand below a path
    return f"{classroom.url or beside}/{path}"


def only_here(classroom: Classroom) -> bool:
    """Whether that address works on this machine only."""
    return urlsplit(address(classroom, "")).hostname in ("localhost", "127.0.0.1", "::1", None)


def way_in(classroom: Classroom, room: Room) -> str:
    """The address at which learners join."""
    return address(classroom, f"join?room={room.code}")
