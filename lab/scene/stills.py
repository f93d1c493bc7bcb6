"""What the scene draws a run's stills from, and whom they are of. The drawing is `assets/kitchen/stills.js`."""

import hashlib
from collections.abc import Sequence

import msgspec

from engine.stall import Stall
from lab.scene.export_html import inert
from lab.scene.spans import Motion, rounded

# all that a still shows; words are too small in it to be read
DRAWN = {"order", "ticket", "prep", "tray", "plate", "step", "worker", "token", "leap", "moved", "link", "deployed"}
UNREAD = {"text", "prompt"}
BY_PASS = ("tray", "tray-ahead", "room")


class Hung(msgspec.Struct, frozen=True):
    """Stills of the order that stood still, at the place of `worker`; `by_pass`: the pass is what they are about.
    `made` of at most `most` tokens were out before it stood still, and `over_s` seconds after its begin the run was
    over. `run`: JSON for a page, and `name`, which changes with it."""

    order: str
    worker: str
    by_pass: bool
    made: int
    most: int
    over_s: float
    run: str
    name: str


def hung(stall: Stall, motions: Sequence[Motion]) -> Hung:
    """The stills of that stall, in the run with these motions."""
    since = rounded(stall.since)
    orders = {m["request"]: m for m in motions if m["kind"] == "order"}
    times = {who: [m["t"] for m in motions if m["kind"] == "token" and m["request"] == who] for who in stall.requests}
    who = next((who for who, made in times.items() if since in made), stall.requests[0])
    seen = [{name: value for name, value in m.items() if name not in UNREAD} for m in motions if m["kind"] in DRAWN]
    run = inert({"motions": seen})
    return Hung(
        order=f"{orders[who]['number']}",
        worker=stall.worker,
        by_pass=stall.cause.kind in BY_PASS,
        made=sum(t <= since for t in times[who]),
        most=orders[who]["max_output_tokens"],
        over_s=max(t for m in motions for t in (m.get("t"), m.get("t1")) if t is not None and m["kind"] != "worker"),
        run=run,
        name=hashlib.sha256(run.encode()).hexdigest()[:16],
    )
