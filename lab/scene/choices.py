"""Widgets that several pages use to choose a kitchen, and the steps of those that depend on what computes."""

from typing import Any, NamedTuple

import streamlit as st

from engine.scenario import KINDS, Kind, Workload
from lab.scene.words import SERVING, TITLES

LINKS = (0.5e6, 1e6, 2e6, 5e6, 10e6, 20e6, 50e6, 100e6, 200e6, 500e6, 1e9, 2e9, 0.0)  # bytes/s; 0: unpaced


class Ranges(NamedTuple):
    """The steps of a kitchen's sliders by the widgets' keys, and where each stands at first. `speed`: at which a
    run is shown at first; None: as it happens."""

    link: tuple[float, ...]
    prompt: tuple[int, ...]
    long: tuple[int, ...]
    answer: tuple[int, ...]
    rate: tuple[float, ...]
    first: dict[str, Any]
    foretold: Workload  # which "Model and reality" learns from and predicts, over the link that it starts with
    foretold_link: float
    speed: float | None = None

    def nearest(self, values: dict[str, object]) -> dict[str, object]:
        """These values of widgets, by key, each on a step that there is."""
        return {key: self._step(key, value) for key, value in values.items()}

    def _step(self, key: str, value: object) -> object:
        if key not in self.first or not isinstance(value, int | float):
            return value
        steps: tuple[float, ...] = getattr(self, key)
        if not value:  # 0 is none of a scale's values, but a word of its own
            return 0 if 0 in steps else steps[0]
        return min((step for step in steps if step), key=lambda step: abs(step - value))


ON_CPUS = Ranges(
    link=LINKS,
    prompt=(16, 64, 128, 256, 512, 1024, 2048),
    long=(0, 256, 512, 1024, 2048, 4096),
    answer=(8, 16, 32, 48, 64, 96, 128),
    rate=(0.25, 0.5, 1.0, 2.0, 4.0, 0.0),  # 0: all at once
    first={"link": 50e6, "prompt": 64, "long": 1024, "answer": 128, "rate": 2.0},
    foretold=Workload(rate_per_s=1.0, prompt_tokens=64, output_tokens=32, long_prompt_tokens=512),
    foretold_link=20e6,
)
ON_GPUS = Ranges(  # a token takes milliseconds there, which nobody sees: the scene plays it in slow motion
    link=(0.25e9, 0.5e9, 1e9, 2e9, 5e9, 10e9, 25e9, 50e9, 100e9, 200e9, 400e9, 0.0),
    prompt=(64, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768),
    long=(0, 1024, 2048, 4096, 8192, 16_384, 32_768),
    answer=(16, 32, 64, 128, 256, 512),
    rate=(1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 0.0),
    first={"link": 10e9, "prompt": 512, "long": 8192, "answer": 128, "rate": 8.0},
    foretold=Workload(rate_per_s=4.0, prompt_tokens=512, output_tokens=128, long_prompt_tokens=4096),
    foretold_link=5e9,
    speed=0.05,
)


def ranges(device: str) -> Ranges:
    """Those for workers on this device (`ModelSpec.device`)."""
    return ON_GPUS if device.startswith("cuda") else ON_CPUS


def played(device: str) -> dict[str, Any]:
    """What a scene must know to suit runs on this device: its slider's ends, and at which speed it shows them first."""
    steps = ranges(device)
    return {"links": [steps.link[0], steps.link[-2]], "speed": steps.speed}


FIRST_SEEN: tuple[Kind, Kind] = ("colocated", "disaggregated")  # one that freezes, beside one that ships


def choose_kind(key: str = "kitchen", default: Kind = "disaggregated", *, titled: bool = True) -> Kind:
    """`key` is the widget's, and its name in the page's address. `titled`: with its name above it for all to see."""
    kind = st.segmented_control(
        "Kitchen",
        KINDS,
        default=default,
        required=True,
        wrap=True,
        format_func=TITLES.__getitem__,
        key=key,
        bind="query-params",
        label_visibility="visible" if titled else "collapsed",
        help=" · ".join(f"{TITLES[kind]}: {SERVING[kind]}" for kind in KINDS) + " · Each has as many workers.",
    )
    return kind if kind in KINDS else default


def beside_each_other(first: str, beside: str) -> list[Kind]:
    """What an address or the two widgets name, by kind or title; of what is no kitchen there is the usual one."""
    kinds: list[Kind] = []
    for named, usual in ((first, FIRST_SEEN[0]), (beside, FIRST_SEEN[1] if not beside else None)):
        kind = next((kind for kind in KINDS if named in (kind, TITLES[kind])), usual)
        if kind is not None and kind not in kinds:
            kinds.append(kind)
    return kinds
