"""The lab's web app: Streamlit's pages, our own routes and the engine's life, in one process on one port.

split-kitchen lab            or, with Streamlit's own command: streamlit run lab/web/app.py
"""

import asyncio
import gc
import importlib
import pkgutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import click
import streamlit as st
from starlette.middleware import Middleware
from streamlit import config

import lab
from lab.classroom.service import announcement, rooms
from lab.runs.engine_client import ENGINE_ROOM
from lab.ui.learner import NameLearners, open_books
from lab.ui.streamlit_options import OPTIONS
from lab.web.guard import Guard
from lab.web.routes import ROUTES
from lab.web.streamlit_fixes import deliver_first

# How long a page may go on while the thread that sends everything waits; Python's own is 5 ms, and that once a message.
SWITCH_S = 0.001


def send_at_once() -> None:
    """Streamlit's listening socket says so little of itself that asyncio leaves Nagle's algorithm on: the second of two
    small messages then waits 40 ms for the browser to acknowledge the first. What is accepted inherits this."""
    sockets = [one for one in gc.get_objects() if type(one) is socket.socket and one.fileno() >= 0]
    for one in sockets:
        if one.family in (socket.AF_INET, socket.AF_INET6) and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[dict[str, Any]]:
    """The engine lives as long as the app does."""
    ENGINE_ROOM.hub.attach(asyncio.get_running_loop())
    click.echo(announcement(), err=True)
    rooms()
    open_books()
    ENGINE_ROOM.open()
    for module in pkgutil.walk_packages(lab.__path__, f"{lab.__name__}."):
        if module.name.endswith("_page"):  # so that the first visitor doesn't wait for it
            importlib.import_module(module.name)
    importlib.import_module("pandas")  # by a chart it is looked for in sys.modules: a whole class's may find half of it
    send_at_once()
    deliver_first()
    config.get_options_for_section = cache(config.get_options_for_section)  # or a theme is sought anew for each rerun
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()  # what is loaded by now stays; Streamlit's frequent collections need not look at it again
    try:
        yield {}
    finally:
        ENGINE_ROOM.close()


for name, value in OPTIONS.items():  # for those who start this file with Streamlit's own command
    config.set_option(name, value)

MIDDLEWARE = [Middleware(Guard), Middleware(NameLearners)]

app = st.App("navigation.py", lifespan=lifespan, routes=ROUTES, middleware=MIDDLEWARE)
