"""An open page without a browser: Streamlit's protocol, and a socket that watches a run.

It does what a browser does by itself: every message carries all widgets' values, known big messages are not sent again,
a form's fields wait for its button, a widget in a fragment reruns that fragment alone, fragments with a timer ask for
reruns, and a class's page follows its live updates.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

import msgspec
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK
from websockets.typing import Origin, Subprotocol

from lab.ui.learner import COOKIE

ANSWER_S = 30.0
Kind = Literal["page", "fragment"]
FINISHED: dict[int, Kind] = {
    ForwardMsg.FINISHED_SUCCESSFULLY: "page",
    ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY: "fragment",
}


def _inner(element: Element) -> Any:
    """Its content, such as a button or a text; None if it is empty."""
    return getattr(element, element.WhichOneof("type") or "", None)


def road(host: str, path: str, **options: Any) -> connect:
    """A WebSocket to the lab, with its own address as Origin."""
    return connect(f"ws://{host}{path}", origin=Origin(f"http://{host}"), max_size=None, close_timeout=1, **options)


class Page:
    """`ran` is called for each rerun, with what ran and the seconds from asking until its last message."""

    def __init__(
        self, host: str, name: str, query: str = "", cookie: str = "", ran: Callable[[Kind, float], None] | None = None
    ) -> None:
        self._host, self._name, self._query, self._hash = host, name, query, ""
        headers = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
        streamlits = Subprotocol("streamlit")
        self._road = road(host, "/_stcore/stream", subprotocols=[streamlits], additional_headers=headers)
        self._ran = ran or (lambda kind, seconds: None)
        self._socket: ClientConnection
        self._shown: dict[tuple[int, ...], tuple[str, Element]] = {}  # (fragment, element) by place
        self._values: dict[str, WidgetState] = {}
        self._waiting: dict[str, dict[str, WidgetState]] = {}  # by form; for its button
        self._known: dict[str, ForwardMsg] = {}
        self._timers: dict[str, asyncio.Task[None]] = {}  # by fragment; a task that is no longer here ends
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._last: str | None = None  # the last message's type
        self._pulses: dict[str, tuple[ClientConnection, str]] = {}  # by component: its socket, and what it sent last
        self.drawn: list[tuple[str, float]] = []  # each place of its class that was drawn, and when
        self.errors: list[str] = []

    async def __aenter__(self) -> "Page":
        self._socket = await self._road
        await self._ask(BackMsg())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._socket.close()

    # ---- what is on it

    def all(self, kind: str) -> list[Any]:
        """The page's elements of a kind, from top to bottom."""
        shown = [self._shown[place][1] for place in sorted(self._shown)]
        return [getattr(element, kind) for element in shown if element.WhichOneof("type") == kind]

    def find(self, kind: str, label: str) -> Any:
        """The first enabled one whose label begins so; None without one."""
        fits = (element for element in self.all(kind) if element.label.startswith(label) and not element.disabled)
        return next(fits, None)

    def component(self, name: str) -> dict[str, Any]:
        """The data of our first component with that name; empty if it is not here."""
        return next((dict(msgspec.json.decode(one.json)) for one in self._components(name)), {})

    def _components(self, name: str) -> list[Any]:
        return [one for one in self.all("bidi_component") if one.component_name.endswith(name)]

    # ---- what its visitor does

    async def press(self, label: str) -> bool:
        """Returns whether there was such a button."""
        if (button := self.find("button", label)) is None:
            return False
        self._values |= self._waiting.pop(button.form_id, {}) if button.is_form_submitter else {}
        return await self._ask(self._part(button.id), [WidgetState(id=button.id, trigger_value=True)])

    async def fill(self, widget: str, **value: Any) -> None:
        """Set a widget's value as a browser does: in a form it waits for the form's button."""
        state = WidgetState(id=widget, **value)
        if form := self._form(widget):
            self._waiting.setdefault(form, {})[widget] = state
            return
        self._values[widget] = state
        await self._ask(self._part(widget))

    # ---- the protocol

    def _part(self, widget: str) -> BackMsg:
        """A rerun of what belongs to that widget: its fragment, or the page."""
        message = BackMsg()
        if (place := self._place(widget)) is not None:
            message.rerun_script.fragment_id = self._shown[place][0]
        return message

    def _form(self, widget: str) -> str:
        """The form that the widget is in; "" outside of forms."""
        place = self._place(widget)
        return "" if place is None else str(_inner(self._shown[place][1]).form_id)

    def _place(self, widget: str) -> tuple[int, ...] | None:
        shown = self._shown.items()
        return next((place for place, (_, element) in shown if getattr(_inner(element), "id", "") == widget), None)

    def _has(self, fragment: str) -> bool:
        return fragment in self._timers or any(fragment == whose for whose, _ in self._shown.values())

    async def _ask(self, message: BackMsg, triggers: Sequence[WidgetState] = ()) -> bool:
        """Returns whether it was sent."""
        asked = message.rerun_script
        asked.query_string, asked.page_name, asked.page_script_hash = self._query, self._name, self._hash
        async with self._turn:
            if asked.fragment_id and not self._has(asked.fragment_id):
                return False  # the page was drawn without it meanwhile: no answer would come
            asked.widget_states.widgets.extend([*self._values.values(), *triggers])
            asked.cached_message_hashes.extend(self._known)
            begun_s = time.monotonic()
            await self._socket.send(message.SerializeToString())
            try:
                async with asyncio.timeout(ANSWER_S):
                    kind = await self._hear()
            except TimeoutError as late:
                what = f"{'fragment' if asked.fragment_id else 'page'} {self._name}"
                raise TimeoutError(f"no answer from {what} in {ANSWER_S:g} s, after {self._last!r}") from late
            self._ran(kind, time.monotonic() - begun_s)
            await self._say_where()
            return True

    async def _hear(self) -> Kind:
        """Read until the script has finished, even if it restarts in between."""
        touched: set[tuple[int, ...]] = set()
        fragments: set[str] = set()
        while True:
            heard = self._whole(ForwardMsg.FromString(await self._socket.recv(decode=False)))
            self._last = heard.WhichOneof("type")
            match self._last:
                case "new_session":
                    touched, fragments = set(), set()
                case "navigation":
                    self._hash = heard.navigation.page_script_hash
                case "delta" if heard.delta.WhichOneof("type") == "new_element":
                    place = tuple(heard.metadata.delta_path)
                    self._shown[place] = (heard.delta.fragment_id, heard.delta.new_element)
                    touched.add(place)
                    self._take_over(heard.delta.new_element)
                case "auto_rerun":
                    fragments.add(heard.auto_rerun.fragment_id)
                    self._every(heard.auto_rerun.interval, heard.auto_rerun.fragment_id)
                case "stop_auto_rerun":
                    self._timers.pop(heard.stop_auto_rerun.fragment_id, None)
                case "script_finished" if heard.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
                    raise RuntimeError("the page's script can't be run")
                case "script_finished" if kind := FINISHED.get(heard.script_finished):
                    self._forget(kind, touched, fragments)
                    return kind

    def _whole(self, heard: ForwardMsg) -> ForwardMsg:
        """Resolve a message that was sent as a reference to an earlier one."""
        if heard.WhichOneof("type") == "ref_hash":
            place = heard.metadata.delta_path
            heard = ForwardMsg.FromString(self._known[heard.ref_hash].SerializeToString())
            heard.metadata.delta_path[:] = place
        elif heard.metadata.cacheable:
            self._known[heard.hash] = heard
        return heard

    def _take_over(self, element: Element) -> None:
        """Take over values that the server sets."""
        number = element.number_input
        if element.WhichOneof("type") == "number_input" and number.set_value and number.HasField("value"):
            self._values[number.id] = WidgetState(id=number.id, double_value=number.value)

    def _forget(self, kind: Kind, touched: set[tuple[int, ...]], fragments: set[str]) -> None:
        """Remove elements that were not drawn again; after a fragment's run, only among its own."""
        drawn = {self._shown[place][0] for place in touched}
        for place, (fragment, _) in list(self._shown.items()):
            if place not in touched and (kind == "page" or fragment in drawn):
                del self._shown[place]
        if kind == "page":
            for fragment in set(self._timers) - fragments:
                self._timers.pop(fragment)

    def _every(self, seconds: float, fragment: str) -> None:
        if fragment not in self._timers:
            self._timers[fragment] = task = asyncio.create_task(self._again(seconds, fragment))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _again(self, seconds: float, fragment: str) -> None:
        me = asyncio.current_task()
        while True:
            await asyncio.sleep(seconds)
            if self._timers.get(fragment) is not me:
                return
            message = BackMsg()
            message.rerun_script.fragment_id, message.rerun_script.is_auto_rerun = fragment, True
            try:
                await self._ask(message)
            except (ConnectionClosed, TimeoutError, RuntimeError) as wrong:
                self.errors.append(repr(wrong))
                return

    # ---- a class's live updates, as assets/pulse.js follows them

    async def _say_where(self) -> None:
        """Say where the class was when the page, or a part of it, was drawn."""
        there = {one.id: msgspec.json.decode(one.json) for one in self._components("pulse")}
        for gone in set(self._pulses) - set(there):
            await self._pulses.pop(gone)[0].close()
        for component, given in there.items():
            socket, said = self._pulses.get(component, (None, ""))
            if said == given["at"]:
                continue
            if "sees=" not in given["stream"]:
                self.drawn.append((given["at"], time.monotonic()))
            if socket is None:
                socket = await road(self._host, given["stream"])
                task = asyncio.create_task(self._follow(component, socket))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            self._pulses[component] = socket, given["at"]
            await socket.send(msgspec.json.encode({"at": given["at"]}), text=True)

    async def _follow(self, component: str, pulse: ClientConnection) -> None:
        times = 0
        try:
            async with pulse:
                async for text in pulse:
                    anew = msgspec.json.decode(text).get("anew")
                    if anew is not None and component in self._pulses:
                        times += 1
                        await self.fill(component, json_value=f'{{"heard": "{anew} {times}"}}')
        except (ConnectionClosed, TimeoutError, RuntimeError) as wrong:
            self.errors.append(repr(wrong))


class WatchMessage(msgspec.Struct):
    """A message to a watcher of a run, or of several, each of which begins with its `kitchen`. Times are seconds on the
    run's clock; `seq` counts motions."""

    kitchen: "Kitchen | None" = None
    seq: int = 0
    now: float = 0.0
    motions: list["Motion"] = msgspec.field(default_factory=list)
    over: bool = False


class Kitchen(msgspec.Struct):
    """Which run comes next."""

    run: str


class Motion(msgspec.Struct):
    """The part of a motion that the bench reads; `t` in seconds since the run's zero."""

    kind: str
    t: float = 0.0


_heard = msgspec.json.Decoder(WatchMessage)


class RunWatcher:
    """One run as a socket hears it. `ages_s`: each token's age on arrival, by a clock that is `offset_s` off."""

    def __init__(self) -> None:
        self.motions = 0
        self.whole = True  # no motion is missing
        self._since_s = 0.0
        self.ages_s: list[float] = []
        self.offset_s = float("inf")
        self.over = False

    def take(self, at_s: float, heard: WatchMessage) -> None:
        self.over = self.over or heard.over
        if heard.motions:
            if not self.motions:
                self._since_s = heard.now  # motions from before the socket have no age
            self.motions += len(heard.motions)
            self.whole = self.whole and heard.seq == self.motions
            self.offset_s = min(self.offset_s, at_s - heard.now)
            tokens = (motion.t for motion in heard.motions if motion.kind == "token")
            self.ages_s += [at_s - t for t in tokens if t > self._since_s]


class RunsWatcher:
    """One run after another, as a socket hears them; `begins` is called for each."""

    def __init__(self, begins: Callable[[str, RunWatcher], None] = lambda run, watch: None) -> None:
        self._begins = begins
        self.on: RunWatcher | None = None

    def begin(self, run: str) -> RunWatcher:
        self.on = RunWatcher()
        self._begins(run, self.on)
        return self.on

    def hear(self, text: str) -> None:
        """To be called as soon as it has come."""
        at_s, heard = time.monotonic(), _heard.decode(text)
        if heard.kitchen:
            self.begin(heard.kitchen.run)
        if self.on:
            self.on.take(at_s, heard)


async def watch_run(
    host: str, stream: str, begins: Callable[[str, RunWatcher], None] = lambda run, watch: None
) -> RunWatcher:
    """Watch until it is over."""
    async with road(host, stream) as socket:
        watcher = RunsWatcher(begins)
        watch = watcher.begin(stream)
        with suppress(ConnectionClosedOK):
            while True:
                watcher.hear(await socket.recv(decode=True))
    return watch
