"""A status line that the lab keeps true over a socket, and a page that reruns when there is something else to show."""

from lab.ui.js_component import component

_pulse = component("pulse", isolate_styles=False)


def pulse(key: str, stream: str, at: str, says: str = "", done: float | None = None) -> None:
    """The line `says` how things stand, over a bar of the share that is `done`, until the socket at `stream` says
    otherwise. `at`: what this page shows; the page, or the fragment around this call, reruns when the socket is
    elsewhere."""
    data = {"stream": stream, "at": at, "says": says, "done": done}
    _pulse(data=data, key=key, default={"heard": ""}, on_heard_change=lambda: None)
