"""The lab below a path of its address, as https://school.example/kitchen: behind a proxy, or by Streamlit's setting.

A proxy may take that path off what it passes on (JupyterHub does) or leave it (as Streamlit's server.baseUrlPath
expects). Here it is taken off first, so everything behind sees one kind of path, and a page finds its server beside its
own address (assets/address.js).
"""

import streamlit as st
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import config

OPTION = "server.baseUrlPath"


def take_base_path() -> str:
    """The path in Streamlit's setting, as "/kitchen", or ""; Streamlit itself then knows of none."""
    base = str(st.get_option(OPTION) or "").strip("/")
    config.set_option(OPTION, "")
    return f"/{base}" if base else ""


class BasePath:
    """Middleware that takes `base` off; what is asked without it (a health check on the machine) is served too."""

    def __init__(self, app: ASGIApp, base: str) -> None:
        self._app = app
        self._base = base

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if self._base and path == self._base and scope["type"] == "http":
            below = self._base.rpartition("/")[2] + "/"  # relative: a proxy before us may have taken off a path, too
            await RedirectResponse(below, 308)(scope, receive, send)
            return
        if self._base and path.startswith(f"{self._base}/"):
            scope = {**scope, "path": path.removeprefix(self._base)}
            if "raw_path" in scope:
                scope["raw_path"] = scope["raw_path"].removeprefix(self._base.encode())
        await self._app(scope, receive, send)
