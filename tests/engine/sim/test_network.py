"""Trays on the way: shares of links, queues, layers, handshakes, and links that change."""

from typing import Any

import pytest

from engine.link import LinkSpec
from engine.sim.clock import Clock
from engine.sim.network import Flow, Network, NetworkSpec


class Trays:
    """A network, and when what was sent over it landed."""

    def __init__(self, link: LinkSpec, **spec: Any) -> None:
        self.clock = Clock()
        self.network = Network(self.clock, link, NetworkSpec(**spec))
        self.landed: dict[str, float] = {}

    def send(self, name: str, source: str, target: str, nbytes: int, at: float = 0.0, **layers: Any) -> Flow:
        def landed(seconds: float) -> None:
            self.landed[name] = self.clock.s

        flow = Flow(source, target, nbytes, 1, lambda: None, landed, **layers)
        self.clock.alarm(self.clock.at(at), lambda _: self.network.send(flow))
        return flow

    def change(self, at: float, bandwidth_bytes_per_s: float) -> None:
        self.clock.alarm(self.clock.at(at), lambda _: self.network.change(LinkSpec(bandwidth_bytes_per_s)))

    def run(self) -> dict[str, Any]:
        """When each landed, approximately."""
        self.clock.run()
        return {name: pytest.approx(t, abs=1e-6) for name, t in self.landed.items()}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_fair_shares_make_n_trays_take_n_times_as_long(count: int) -> None:
    trays = Trays(LinkSpec(1e6), sharing="fair")
    for n in range(count):
        trays.send(str(n), "a", f"b{n}", 10**6)
    assert trays.run() == {str(n): float(count) for n in range(count)}


def test_fifo_sends_one_after_the_other_and_limits_no_receiver() -> None:
    trays = Trays(LinkSpec(1e6, 0.1))
    for name, source in (("1", "a"), ("2", "a"), ("3", "b")):
        trays.send(name, source, "c", 10**6)
    assert trays.run() == {"1": 1.1, "2": 2.2, "3": 1.1}


def test_a_receiver_s_link_is_shared_among_its_senders() -> None:
    trays = Trays(LinkSpec(1e6), sharing="fair")
    trays.send("1", "a", "c", 10**6)
    trays.send("2", "b", "c", 10**6)
    trays.send("3", "d", "e", 10**6)
    assert trays.run() == {"1": 2.0, "2": 2.0, "3": 1.0}


def test_a_tray_that_ends_leaves_its_share_to_the_others() -> None:
    trays = Trays(LinkSpec(1e6), sharing="fair")
    trays.send("short", "a", "b", 500_000)
    trays.send("long", "a", "c", 10**6)
    assert trays.run() == {"short": 1.0, "long": 1.5}


@pytest.mark.parametrize("sharing", ["fifo", "fair"])
def test_the_fabric_that_all_cross_is_shared_by_all(sharing: str) -> None:
    trays = Trays(LinkSpec(1e6), sharing=sharing, shared_bytes_per_s=1e6)
    trays.send("1", "a", "b", 10**6)
    trays.send("2", "c", "d", 10**6)
    assert trays.run() == {"1": 2.0, "2": 2.0}


def test_max_min_gives_the_rest_to_those_that_the_narrowest_place_does_not_hold_back() -> None:
    trays = Trays(LinkSpec(3e6), sharing="fair")
    for n in range(3):
        trays.send(f"in{n}", f"a{n}", "hub", 10**6)  # each 1 MB/s: the hub's link is the narrowest place
    trays.send("beside", "a0", "z", 2 * 10**6)  # 2 MB/s: what `in0` leaves of a0's link
    assert trays.run() == {"in0": 1.0, "in1": 1.0, "in2": 1.0, "beside": 1.0}


def test_the_handshake_is_paid_once_for_each_pair() -> None:
    trays = Trays(LinkSpec(1e6), handshake_s=5.0)
    trays.send("1", "a", "b", 10**6)
    trays.send("2", "a", "b", 10**6, at=10.0)
    trays.send("3", "a", "c", 10**6, at=20.0)
    assert trays.run() == {"1": 6.0, "2": 11.0, "3": 26.0}


def test_descriptors_take_time_before_the_first_byte() -> None:
    trays = Trays(LinkSpec(1e6), descriptor_s=0.001, descriptors_per_block=100)
    trays.send("1", "a", "b", 10**6)
    assert trays.run() == {"1": 1.1}


def test_a_change_of_the_link_acts_on_what_is_in_flight() -> None:
    trays = Trays(LinkSpec(1e6))
    trays.send("1", "a", "b", 10**6)
    for at, bandwidth in ((0.5, 0.0), (2.0, 0.25e6)):
        trays.change(at, bandwidth)
    assert trays.run() == {"1": 4.0}


def test_an_unpaced_link_is_as_fast_as_the_host() -> None:
    trays = Trays(LinkSpec(None, 0.25), host_bytes_per_s=2e6)
    trays.send("1", "a", "b", 10**6)
    assert trays.run() == {"1": 0.75}
    trays = Trays(LinkSpec(None, 0.25))
    trays.send("1", "a", "b", 10**6)
    assert trays.run() == {"1": 0.25}


def test_layers_leave_the_last_one_s_time_after_the_prefill() -> None:
    trays = Trays(LinkSpec(1e6))
    trays.send("1", "a", "b", 500_000, not_before_ps=10**12, last_bytes=50_000)  # ten layers, made until second 1
    assert trays.run() == {"1": 1.05}


def test_what_is_aborted_never_lands_and_keeps_nobody_waiting() -> None:
    trays = Trays(LinkSpec(1e6))
    first = trays.send("1", "a", "b", 10**6)
    trays.send("2", "a", "b", 10**6)
    trays.clock.alarm(trays.clock.at(0.25), lambda _: trays.network.abort(first))
    assert trays.run() == {"2": 1.25}
