"""Sentences about the settings, and about results that were made with other settings."""

import pytest
from msgspec.structs import replace

from engine.link import LinkSpec
from engine.scenario import Deployment, Kind, Scenario, Workload
from lab.kitchen.settings import described, differences, values
from lab.scene.choices import ON_CPUS, ON_GPUS, Ranges, beside_each_other, ranges

WORK = Workload(
    requests=8,
    rate_per_s=2.0,
    prompt_tokens=64,
    output_tokens=128,
    long_prompt_tokens=1024,
    long_every=4,
    ignore_eos=True,
)


def these(*kinds: Kind, link: float | None = 50e6, **changed: object) -> list[Scenario]:
    work = replace(WORK, **changed)
    return [Scenario(Deployment(kind, chunk=128), LinkSpec(link, 0.001), work) for kind in kinds]


BOTH = these("colocated", "disaggregated")


def test_every_setting_that_matters_is_said() -> None:
    orders = "8 orders, arriving 2 a second, prompts of 64 tokens, every 4th prompt 1,024, answers of 128"
    assert described(BOTH) == f"{orders}, pass 50 MB/s"
    assert described(these("chunked")) == f"{orders}, portions of 128 tokens"
    assert described(these("colocated", long_prompt_tokens=0, long_every=0, rate_per_s=None)) == (
        "8 orders, arriving all at once, prompts of 64 tokens, every 4th prompt as the others, answers of 128"
    )


@pytest.mark.parametrize(
    ("wished", "says"),
    [
        (BOTH, ""),
        (these("colocated", "disaggregated", link=2e6), "pass 2 MB/s instead of 50 MB/s"),
        (
            these("colocated", "disaggregated", requests=12, output_tokens=48),
            "12 orders instead of 8, answers of 48 instead of 128",
        ),
        (
            these("chunked"),
            "Prep cut into portions instead of Each cook does both beside Two stations and a pass",
        ),
    ],
)
def test_what_is_not_as_it_is_set_is_said(wished: list[Scenario], says: str) -> None:
    assert differences(BOTH, wished) == says


def test_a_link_says_nothing_of_a_kitchen_without_a_pass_nor_of_a_run_that_follows_it() -> None:
    assert differences(these("colocated"), these("colocated", link=2e6)) == ""
    assert differences(BOTH, these("colocated", "disaggregated", link=2e6), follows_link=True) == ""


def test_the_widgets_can_be_set_as_it_was() -> None:
    assert values(BOTH[0]) == {
        "orders": 8,
        "rate": 2.0,
        "prompt": 64,
        "long": 1024,
        "answer": 128,
        "chunk": 128,
        "link": 50e6,
        "latency": 1,
        "ship": "whole",
        "first": "prefill",
    }
    assert values(these("colocated", link=None, rate_per_s=None)[0])["link"] == 0.0


@pytest.mark.parametrize(
    ("address", "kinds"),
    [
        (("", ""), ["colocated", "disaggregated"]),
        (("chunked", "colocated"), ["chunked", "colocated"]),
        (("Prep cut into portions", "Each cook does both"), ["chunked", "colocated"]),
        (("Two stations and a pass", ""), ["disaggregated"]),
        (("colocated", "none"), ["colocated"]),
        (("<script>", "nothing"), ["colocated"]),
    ],
)
def test_an_address_names_kitchens_by_kind_or_title(address: tuple[str, str], kinds: list[str]) -> None:
    assert beside_each_other(*address) == kinds


@pytest.mark.parametrize("steps", [ON_CPUS, ON_GPUS])
def test_a_slider_begins_on_one_of_its_steps(steps: Ranges) -> None:
    assert steps.nearest(dict(steps.first)) == steps.first


def test_on_gpus_the_steps_suit_a_gpu_and_the_scene_is_in_slow_motion() -> None:
    assert ranges("cuda") == ranges("cuda:0,cuda:1") == ON_GPUS
    assert ranges("cpu") == ranges("stand-in") == ON_CPUS
    assert (ON_GPUS.link[0], ON_GPUS.link[-2:]) == (0.25e9, (400e9, 0.0))
    assert ON_GPUS.speed == 0.05
    assert ON_CPUS.speed is None


def test_what_was_recorded_on_a_cpu_becomes_the_nearest_step_of_a_gpu() -> None:
    """The widgets take nothing else."""
    shown = these("disaggregated", rate_per_s=None, long_prompt_tokens=0, long_every=0)[0]
    set_to = ON_GPUS.nearest(values(shown))
    assert (set_to["link"], set_to["rate"], set_to["long"], set_to["answer"]) == (0.25e9, 0.0, 0, 128)
    assert set_to["orders"] == values(shown)["orders"]
    assert ON_GPUS.nearest({"link": 0.0}) == {"link": 0.0}, "unpaced is no speed"
