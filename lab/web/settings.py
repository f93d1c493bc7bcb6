"""The lab's settings, read from environment variables here and nowhere else."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from engine.commands.inside import ENGINES, VARIABLE
from engine.errors import BadInput
from engine.files import expanded
from engine.live.gpus import places_for
from engine.scenario import MAX_WORKERS, TRANSPORTS, ModelSpec, one_of, whole
from engine.units import host_and_port
from engine.vllm import road
from engine.vllm.launch import usable
from lab.classroom.auth import long_enough, made_key
from lab.runs.engine_settings import EngineSettings
from lab.web.allowed_hosts import name_in
from lab.web.data_folder import check_data_folder


class Settings(msgspec.Struct, frozen=True):
    """`data`: the folder for guesses and classes. `url`: where browsers find the lab; "" if it can tell by itself.
    `instructor_key`: "" for one that the lab makes and keeps. `hosts`: names under which browsers may know the lab."""

    data: Path
    engine: EngineSettings
    url: str = ""
    instructor_key: str = ""
    hosts: tuple[str, ...] = ()

    def key(self) -> str:
        """The instructor's key: the one that is set, else the one in `data`, made the first time. Raises BadInput."""
        return self.instructor_key or made_key(self.data)

    def checked(self) -> "Settings":
        """Itself. Raises BadInput for what would break the lab at its start."""
        places_for(self.engine.model.checked().device, self.engine.listen)
        check_data_folder(self.data)
        self.key()
        return self

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Raises BadInput, which names the variable."""
        data = expanded(environment.get("SPLIT_KITCHEN_DATA", "~/.local/share/split-kitchen"))
        if str(data).startswith("~"):
            raise BadInput("SPLIT_KITCHEN_DATA", "not set", "a folder, since this user has no home folder")
        return cls(
            data=data,
            engine=_engine(environment),
            url=environment.get("SPLIT_KITCHEN_URL", "").rstrip("/"),
            hosts=_hosts(environment),
            instructor_key=_instructor_key("SPLIT_KITCHEN_INSTRUCTOR_KEY", environment),
        )


def _engine(environment: Mapping[str, str]) -> EngineSettings:
    listen = environment.get("SPLIT_KITCHEN_LISTEN", "")
    if listen:
        host_and_port("SPLIT_KITCHEN_LISTEN", listen)
    transports = environment.get("SPLIT_KITCHEN_TRANSPORTS", "tcp" if listen else "shm,tcp").split(",")
    for transport in transports:
        one_of("SPLIT_KITCHEN_TRANSPORTS", transport, TRANSPORTS)
    if _checked_engine(environment) == "vllm":
        return _vllm(environment)
    return EngineSettings(
        workers=_workers("SPLIT_KITCHEN_WORKERS", environment),
        model=ModelSpec(
            environment.get("SPLIT_KITCHEN_MODEL", "smollm2-135m"),
            device=environment.get("SPLIT_KITCHEN_DEVICE", "cpu"),
        ),
        listen=listen,
        transports=tuple(transports),
    )


def _checked_engine(environment: Mapping[str, str]) -> str:
    engine = environment.get("SPLIT_KITCHEN_ENGINE", ENGINES[0])
    one_of("SPLIT_KITCHEN_ENGINE", engine, ENGINES)
    return engine


def _vllm(environment: Mapping[str, str]) -> EngineSettings:
    """vLLM on this machine, as far as this machine lets it be paced."""
    if environment.get("SPLIT_KITCHEN_LISTEN"):
        raise BadInput("SPLIT_KITCHEN_LISTEN", environment["SPLIT_KITCHEN_LISTEN"], "left out with vLLM")
    if (device := environment.get("SPLIT_KITCHEN_DEVICE", "cpu")) != "cpu":
        raise BadInput("SPLIT_KITCHEN_DEVICE", device, "left out with vLLM")
    return EngineSettings(
        workers=_workers("SPLIT_KITCHEN_WORKERS", environment),
        model=ModelSpec(environment.get("SPLIT_KITCHEN_MODEL", "smollm2-135m")),
        transports=("nixl",),
        vllm_python=usable(environment.get(VARIABLE, ""), split=True),
        unpaced_because=road.refused(),
    )


def _workers(name: str, environment: Mapping[str, str]) -> int:
    """At least two: one prefills and one decodes."""
    said = environment.get(name, "2")
    if not (said.isascii() and said.isdigit()):
        raise BadInput(name, said, f"a whole number from 2 to {MAX_WORKERS}")
    whole(name, int(said), 2, MAX_WORKERS)
    return int(said)


def _instructor_key(name: str, environment: Mapping[str, str]) -> str:
    key = environment.get(name, "")
    return long_enough(name, key) if key else ""


def _hosts(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Those that are named, and the one in the lab's public address."""
    named = [name.strip() for name in environment.get("SPLIT_KITCHEN_HOSTS", "").split(",")]
    for name in filter(None, named):
        if name_in(name) != name.lower():
            raise BadInput("SPLIT_KITCHEN_HOSTS", name, "names without scheme and port, separated by commas")
    public = name_in(environment.get("SPLIT_KITCHEN_URL", "").partition("://")[2].partition("/")[0])
    return tuple(name for name in (*named, public) if name)
