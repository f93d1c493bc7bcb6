"""One widget sets another, whichever message brings the change first: the page's, or that of a fragment's timer."""

from collections.abc import Sequence
from typing import Any

import pytest
from streamlit.proto.Common_pb2 import StringArray
from streamlit.proto.WidgetStates_pb2 import WidgetState

from tests.lab.conftest import LONG, Lab, Visitor

pytestmark = pytest.mark.live


def told_by_a_timer_first(visitor: Visitor, widgets: Sequence[WidgetState]) -> None:
    """As browsers sometimes do: a change is in the timer's message before it is in the page's own."""
    assert visitor.timers
    visitor.say(widgets, fragment=visitor.timers[0])
    visitor.say(widgets)


def labelled(visitor: Visitor, kind: str, label: str) -> Any:
    return next(one for one in visitor.all(kind) if one.label == label)


def test_the_belt_sets_the_link(lab: Lab) -> None:
    with Visitor(lab, LONG) as visitor:
        scene = visitor.all("bidi_component")[0].id
        link = labelled(visitor, "slider", "Link bandwidth")
        still = WidgetState(id=link.id, string_array_value=StringArray(data=["20 MB/s"]))
        told_by_a_timer_first(visitor, [still, WidgetState(id=scene, json_value='{"link": 2e9}')])
        link = labelled(visitor, "slider", "Link bandwidth")
        assert (link.set_value, list(link.raw_value)) == (True, ["2 GB/s"])
        told_by_a_timer_first(visitor, [still, WidgetState(id=scene, json_value='{"link": null}')])
        link = labelled(visitor, "slider", "Link bandwidth")
        assert (link.set_value, list(link.raw_value)) == (True, ["unpaced"])
        # a later change of the other one wins
        mine = WidgetState(id=link.id, string_array_value=StringArray(data=["1 MB/s"]))
        told_by_a_timer_first(visitor, [mine, WidgetState(id=scene, json_value='{"link": null}')])
        assert not labelled(visitor, "slider", "Link bandwidth").set_value


def test_a_site_sets_its_usual_gpu(lab: Lab) -> None:
    with Visitor(lab, page="scale") as visitor:
        site, gpu = labelled(visitor, "selectbox", "Site"), labelled(visitor, "selectbox", "GPU")
        other = next(name for name in site.options if "GB200" in name)
        usual = next(name for name in gpu.options if "GB200" in name)
        still = WidgetState(id=gpu.id, string_value=gpu.options[gpu.default])
        told_by_a_timer_first(visitor, [still, WidgetState(id=site.id, string_value=other)])
        gpu = labelled(visitor, "selectbox", "GPU")
        assert (gpu.set_value, gpu.raw_value) == (True, usual)


def test_a_preset_fills_the_form(lab: Lab) -> None:
    with Visitor(lab, page="advisor") as visitor:
        ask, rate = (
            labelled(visitor, "button", "Ask the advisor"),
            labelled(visitor, "number_input", "Orders per second"),
        )
        unasked = WidgetState(id=rate.id, double_value=3.21)  # the lab keeps answers, and a kept one has no progress
        visitor.say([unasked, WidgetState(id=ask.id, trigger_value=True)])  # a fragment now polls the progress
        preset, gpus = labelled(visitor, "selectbox", "Start from"), labelled(visitor, "number_input", "GPUs, in all")
        rack = next(name for name in preset.options if "NVL72" in name)
        still = WidgetState(id=gpus.id, int_value=4)
        told_by_a_timer_first(visitor, [still, WidgetState(id=preset.id, string_value=rack)])
        gpus = labelled(visitor, "number_input", "GPUs, in all")
        assert (gpus.set_value, gpus.value) == (True, 72)
