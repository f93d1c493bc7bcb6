"""What reads files without a command: the lab's pages and its start. And who reads what, so that none is forgotten."""

import ast
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from engine.client.summary import sentences
from engine.disturbed import disturbance
from engine.grammar import admit
from engine.live.model.dtypes import UPCAST, Speed, speeds
from engine.log import dump, parse, seen_from_outside
from lab.classroom.actions import ClassActions
from lab.classroom.auth import Instructors
from lab.classroom.store import RoomFile
from lab.kitchen.charts import gaps_alt, gaps_figure, results_table
from lab.kitchen.link_scale import Scale, marks
from lab.kitchen.results import stalls_in_words
from lab.runs.engine_settings import EngineSettings
from lab.scene.export_html import export_kitchens
from lab.scene.recordings import replayed
from lab.scene.share_card import share_card
from lab.scene.words import intro, titles
from lab.web.settings import Settings
from lessons.book import Book
from tests.fuzz.seeds import LEARNERS, ROOT, TEACHER

SPEED = Speed(0.001, 0.0001)
SCALE = Scale("llama-3.1-8b", "h100-sxm")


def kitchen(file: Path) -> None:
    """A recording is uploaded, and the Kitchen page shows it: what it draws it draws at every visit."""
    log = parse(file.read_bytes(), file.name)
    admit(log.events, file.name)
    logs = [log, log]
    kitchens = [replayed(title, one) for title, one in zip(titles(logs), logs, strict=True)]
    intro(log)
    if not log.events:
        return
    marks(log, SCALE)
    results_table(logs)
    stalls_in_words(logs)
    gaps_figure(logs).to_json()
    gaps_alt(logs)
    disturbance(log.events, log.machine)
    if seen_from_outside(log):
        sentences(log)
    share_card(logs)
    export_kitchens(kitchens, "Two kitchens")
    dump(log)


def data(file: Path) -> None:
    """The lab starts on its data folder, and its pages read what is kept there."""
    folder = file.parent
    key = Settings(folder, EngineSettings()).checked().key()
    for learner in LEARNERS:
        Book(folder / "guesses.sqlite", learner).export()
    rooms = ClassActions(RoomFile(folder / "class.sqlite", Instructors(folder / "class.sqlite", key)))
    with patch.object(rooms._file, "_instructors", {TEACHER}):
        for room in rooms.all(TEACHER):
            rooms.ballots(room.code, TEACHER)
            rooms.shown(room)
            rooms.roster(room.code)


def cache(file: Path) -> None:
    """An engine starts: what it measured once may be damaged."""
    measured = dict.fromkeys(("float32", "bfloat16", UPCAST), SPEED)
    with patch("engine.live.model.dtypes._measured", lambda: measured):
        for speed in speeds(file.parent).values():
            assert 0 < speed.prefill_flops_per_s < 1e18, speed


# ---- who reads what

SHIPPED = "a file of the package"
SYSTEM = "what Linux says"
OWN = "what this process or a child of it writes meanwhile"
READERS = {
    # by module: a kind of file (tests/fuzz/kinds.py), or why it is none
    "engine.bench.document": "docs/",
    "engine.bench.growth": SYSTEM,
    "engine.bench.inside": OWN,
    "engine.bench.start": SYSTEM,
    "engine.commands.advise": "metrics.txt",
    "engine.commands.watch": "watched/",
    "engine.files": "all of them: `contents`",
    "engine.fleet.catalog.checkpoint": "weighed/",
    "engine.fleet.catalog.hf_config": "config.json",
    "engine.fleet.catalog.on_meta_device": "small.gguf",
    "engine.fleet.catalog.tables": SHIPPED,
    "engine.fleet.host.fleet": SHIPPED,
    "engine.live.cgroup": SYSTEM,
    "engine.live.compute.kernels.compiler": SHIPPED,
    "engine.live.compute.memfd": OWN,
    "engine.live.compute.transformers_model": "model/",
    "engine.live.compute.weights": "model/",
    "engine.live.gpus": SHIPPED,
    "engine.live.machine.doctor": "model/",
    "engine.live.machine.lull": SYSTEM,
    "engine.live.model.convert": "small.gguf",
    "engine.live.model.dtypes": "cache/",
    "engine.live.model.folder": "model/",
    "engine.live.model.text": "model/",
    "engine.live.process.channel": SYSTEM,
    "engine.live.this_machine": SYSTEM,
    "engine.log": "log.jsonl",
    "engine.options": "prompts.txt",
    "engine.own_file": "policy.py",
    "engine.sim.traces": "trace-",
    "engine.vllm.keeper": OWN,
    "engine.vllm.launch": OWN,
    "engine.vllm.process_group": SYSTEM,
    "engine.vllm.tail": OWN,
    "lab.classroom.auth": "data/",
    "lab.ui.assets": SHIPPED,
    "lab.web.data_folder": "data/",
    "lab.web.icons": "the font of icons in the cache, which has its hash before it (tests/lab/web/test_icons.py)",
    "lab.web.landing": SHIPPED,
    "lab.web.packed": SHIPPED,
    "lessons.book": "data/",
    "lessons.lesson": SHIPPED,
    "lessons.notebooks.page": SHIPPED,
}
OPEN = {"contents", "read_bytes", "read_text", "safe_open", "from_file", "from_pretrained", "GGUFReader", "fromfile"}


def that_read() -> set[str]:
    """The modules in which a file is read, found in their code. Benches read their own programs' words."""
    found = set()
    for package in ("engine", "lab", "lessons"):
        for path in (ROOT / package).rglob("*.py"):
            if any(_opens(node) for node in ast.walk(ast.parse(path.read_text("utf-8")))):
                found.add(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    return {name for name in found if not name.startswith(("engine.bench.peers", "lab.bench", "engine.vllm.plugin"))}


def _opens(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name, owner = _called(node.func)
    if name == "read_bytes":
        return not node.args and owner != "self"  # a shape's `read_bytes(experts)` is a number
    if name == "connect":
        return owner == "sqlite3"
    if name == "open":
        return owner in ("", "os") or any(
            isinstance(arg, ast.Constant) and arg.value in ("r", "rb") for arg in node.args
        )
    return name in OPEN


def _called(function: ast.expr) -> tuple[str, str]:
    """The name of what is called, and what it belongs to."""
    if isinstance(function, ast.Attribute):
        return function.attr, function.value.id if isinstance(function.value, ast.Name) else "?"
    return (function.id, "") if isinstance(function, ast.Name) else ("", "")


def unknown(kinds: Iterator[str] | list[str]) -> list[str]:
    """Kinds that `READERS` names and that are none of these."""
    reasons, names = (SHIPPED, SYSTEM, OWN), list(kinds)
    named = {what for what in READERS.values() if what not in reasons and " " not in what}
    return sorted(what for what in named if not any(name.startswith(what) for name in names))
