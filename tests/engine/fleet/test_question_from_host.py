"""From NVML's snapshot to the first fields of a question."""

import msgspec
import pytest

from engine.errors import BadInput
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.question_from_host import here
from engine.fleet.host.fleet import Fabric, Fleet, Gpu, NvLink, example_fleet

EXAMPLE = example_fleet()
UP = NvLink(0, True, "4", 25e9, "switch")
SXM = Gpu(0, "NVIDIA H100 80GB HBM3", 80 * 10**9, links=(UP,) * 18)


def fleet(*gpus: Gpu) -> Fleet:
    return msgspec.structs.replace(EXAMPLE, gpus=gpus, pairs=(), example=False)


def test_the_example_fleet_has_one_pair_down() -> None:
    found = here(EXAMPLE)
    assert (found.gpus, found.gpu, found.fabric, found.links_down) == (4, "a100-pcie-80g", "nvlink3", 1)
    assert "recorded example fleet" in found.sentence
    assert "GPU 2, GPU 3" in found.sentence
    asked = Question(found.gpus, found.gpu, fabric=found.fabric, links_down=found.links_down).checked()
    assert asked.road_now.kind == "pcie"


def test_a_whole_node_has_none_down_and_its_own_fabric() -> None:
    found = here(fleet(*(msgspec.structs.replace(SXM, index=n) for n in range(8))))
    assert (found.gpus, found.gpu, found.fabric, found.links_down) == (8, "h100-sxm", "", 0)


def test_behind_a_switch_each_gpu_has_a_road_of_its_own() -> None:
    down = msgspec.structs.replace(SXM, index=1, links=(NvLink(0, False),) * 18)
    assert here(fleet(SXM, down, *[SXM] * 6)).links_down == 1


def test_where_no_link_is_up_nothing_says_that_there_ever_was_one() -> None:
    dark = [msgspec.structs.replace(gpu, links=EXAMPLE.gpus[2].links) for gpu in EXAMPLE.gpus]
    found = here(fleet(*dark))
    assert (found.fabric, found.links_down) == ("pcie4", 0)


@pytest.mark.parametrize(
    ("gpus", "sentence"), [((), "NVML can see"), ((Gpu(0, "NVIDIA NVS 315", 1),), "one of NVIDIA")]
)
def test_what_cannot_begin_a_question_gets_one_sentence(gpus: tuple[Gpu, ...], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        here(fleet(*gpus))


def test_cards_that_never_had_a_bridge_are_not_roads_that_are_down() -> None:
    bare = [msgspec.structs.replace(gpu, links=(NvLink(0, active=False),) * 4) for gpu in EXAMPLE.gpus[2:]]
    found = here(fleet(*EXAMPLE.gpus[:2], *bare))
    assert (found.fabric, found.links_down) == ("nvlink3", 0)


def test_a_fabric_that_is_not_set_up_carries_nothing() -> None:
    stopped = [msgspec.structs.replace(SXM, index=n, fabric=Fabric("not started")) for n in range(8)]
    assert here(fleet(*stopped)).fabric == "pcie5"
    sliced = [msgspec.structs.replace(SXM, index=n, mig_instances=7) for n in range(8)]
    assert "MIG is on" in here(fleet(*sliced)).sentence
