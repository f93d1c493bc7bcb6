"""The lab's web app: Streamlit's pages, our own routes and the engine, in one process on one port.

split-kitchen lab            or, with Streamlit's own command: streamlit run lab/web/app.py
"""

import asyncio
import gc
import importlib
import pkgutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import click
import streamlit as st
from starlette.middleware import Middleware
from streamlit import config

import lab
from engine.errors import BadInput
from lab.runs.open_files import open_files
from lab.ui.learner import NameLearners
from lab.ui.streamlit_options import OPTIONS
from lab.web.allowed_hosts import Hosts
from lab.web.base_path import BasePath, take_base_path
from lab.web.guard import Guard
from lab.web.icons import icon_font
from lab.web.packed import StreamlitsFiles
from lab.web.routes import ROUTES
from lab.web.services import Lab, hand_over
from lab.web.settings import Settings
from lab.web.streamlit_fixes import fix_streamlit


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[dict[str, Any]]:
    """The lab, and with it the engine, lives as long as the app."""
    made = Lab.of(settings, asyncio.get_running_loop().call_soon_threadsafe)
    click.echo(made.announcement, err=True)
    made.engine.open()
    icon_font()  # on a machine's first start some seconds, which the engine needs too
    hand_over(made)
    for module in pkgutil.walk_packages(lab.__path__, f"{lab.__name__}."):
        if module.name.endswith("_page"):  # so that the first visitor doesn't wait for it
            importlib.import_module(module.name)
    fix_streamlit()
    gc.collect()
    gc.freeze()  # what is loaded by now stays: Streamlit's frequent collections need not look at it again
    try:
        yield {"lab": made}
    finally:
        hand_over(None)
        made.engine.close()


for name, value in OPTIONS.items():  # for those who start this file with Streamlit's own command
    config.set_option(name, value)

try:
    settings = Settings.of_environment().checked()  # refused here, where it is one sentence
except BadInput as wrong:
    click.echo(f"split-kitchen: {wrong}", err=True)
    sys.exit(2)

open_files()

MIDDLEWARE = [
    Middleware(BasePath, base=take_base_path()),
    Middleware(Guard, hosts=Hosts(settings.hosts)),
    Middleware(NameLearners),
    Middleware(StreamlitsFiles),
]

app = st.App("navigation.py", lifespan=lifespan, routes=ROUTES, middleware=MIDDLEWARE)
