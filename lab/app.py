"""The lab's web app: Streamlit's pages, our own routes and the engine's life, in one process on one port.

streamlit run lab/app.py            or: split-kitchen lab
"""

import asyncio
import gc
import importlib
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import click
import streamlit as st
from starlette.middleware import Middleware
from streamlit import config

from lab import pages
from lab.classroom import announcement
from lab.engine_room import ENGINE_ROOM
from lab.guard import Guard
from lab.learner import NameLearners
from lab.routes import ROUTES


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[dict[str, Any]]:
    """The engine lives as long as the app does."""
    ENGINE_ROOM.hub.attach(asyncio.get_running_loop())
    click.echo(announcement(), err=True)
    ENGINE_ROOM.open()
    for page in pkgutil.iter_modules(pages.__path__, f"{pages.__name__}."):
        importlib.import_module(page.name)  # so that the first visitor doesn't wait for it
    importlib.import_module("pandas")  # by a chart it is looked for in sys.modules: a whole class's may find half of it
    gc.collect()
    gc.freeze()  # what is loaded by now stays; Streamlit's frequent collections need not look at it again
    try:
        yield {}
    finally:
        ENGINE_ROOM.close()


# whatever folder the lab is started in, and with it whatever .streamlit/config.toml
config.set_option("browser.gatherUsageStats", False)
config.set_option("client.showErrorDetails", "none")

MIDDLEWARE = [Middleware(Guard), Middleware(NameLearners)]

app = st.App("entry/main.py", lifespan=lifespan, routes=ROUTES, middleware=MIDDLEWARE)
