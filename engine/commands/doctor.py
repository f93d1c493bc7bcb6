"""`split-kitchen doctor`: what this machine has and can do, its GPUs' faults, and the network to another host."""

import os
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from engine import units
from engine.errors import BadInput
from engine.report import plain
from engine.scenario import ModelSpec, whole
from engine.units import in_time, in_words

if TYPE_CHECKING:
    from engine.fleet.host.links import Road
    from engine.live.machine.gpu_pairs import Pair


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
@click.option("--model", default="smollm2-135m", show_default=True, help="Name, folder or hub id.")
@click.option("--device", help="GPUs to measure: cpu for none, cuda, or as cuda:0,cuda:1.  [default: all there are]")
@click.option("--example", is_flag=True, help="Examine an example fleet instead: 4 GPUs, one pair without its NVLink.")
@click.option(
    "--fleet-model", default="llama-3.1-8b", show_default=True, help="The model whose KV the findings are about."
)
@click.option("--fleet-prompt", type=int, default=4096, show_default=True, help="Its prompt tokens.")
@click.option("--link", "link", help="HOST:PORT: measure the network to a host that runs `doctor --serve-link PORT`.")
@click.option("--serve-link", "port", type=int, help="Answer one `doctor --link` on this port, and nothing else.")
def doctor(as_json: bool, model: str, device: str | None, link: str | None, port: int | None, **fleet: Any) -> None:
    """What this machine has and can do: measured now, not looked up.

    Measuring the network to another host needs the same secret on both in SPLIT_KITCHEN_KEY.
    """
    if port is not None:
        return _serve_link(port, link)
    found = _examined(model, device, link, **fleet)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        _show(found)


def _serve_link(port: int, link: str | None) -> None:
    from engine.live.process.hosts_link import serve

    if link is not None:
        raise BadInput("link", link, "left out with --serve-link: one host serves, the other measures")
    whole("serve-link", port, 1, 65535)
    serve(
        port, ready=lambda port: click.echo(f"Run on the other host: split-kitchen doctor --link HERE:{port}", err=True)
    )


def _examined(
    model: str, device: str | None, link: str | None, *, example: bool, fleet_model: str, fleet_prompt: int
) -> dict[str, Any]:
    """The report. Raises BadInput before anything is measured."""
    from engine.fleet.catalog.hf_config import model as real_model
    from engine.fleet.host.finding import Tray
    from engine.fleet.host.findings import about_hosts, findings
    from engine.fleet.host.fleet import example_fleet
    from engine.fleet.host.links import roads
    from engine.fleet.host.nvml import read_fleet
    from engine.live.gpus import every, places
    from engine.live.machine.doctor import examine, pairs_of_gpus
    from engine.live.process.hosts_link import measure
    from engine.live.process.join_server import shared_key

    whole("fleet prompt", fleet_prompt, 1, 10_000_000)
    asked = None if device is None else places(ModelSpec(device=device).checked().device)
    tray = Tray(real_model(fleet_model), fleet_prompt)
    address = units.host_and_port("link", link) if link else None
    if address:
        shared_key()
    report = examine(ModelSpec(path=model))
    there = example_fleet() if example else read_fleet()
    pairs = pairs_of_gpus(every() if asked is None else asked)
    report["gpu_pairs"] = pairs_said(pairs, [] if example else roads(there))
    report |= {"gpus": there.gpus, "findings": findings(there, tray)}
    if address:
        to_host = measure(address)
        report["findings"].append(
            about_hosts(to_host.peer, to_host.sent_bytes_per_s, to_host.received_bytes_per_s, tray)
        )
        report["link"] = to_host
    return report


def pairs_said(pairs: Sequence["Pair"], roads: Sequence["Road"]) -> dict[str, str]:
    """What KV reaches between two GPUs, beside the driver's copy and NVML's name for the road between them. CUDA and
    NVML number GPUs alike, unless the environment lets this process see them in another order."""
    labels = {frozenset((road.a, road.b)): road.label for road in roads}
    named = {} if os.environ.get("CUDA_VISIBLE_DEVICES") else labels
    said = {}
    for pair in pairs:
        ends = frozenset(int(place.partition(":")[2] or 0) for place in (pair.source, pair.target))
        road = "the same GPU" if len(ends) == 1 else named.get(ends, "a road that NVML does not name")
        speeds = (f"{in_words(speed, 'B/s')}" for speed in (pair.handed_bytes_per_s, pair.copied_bytes_per_s))
        measured = pair.why or "{} of KV, {} copied by the driver".format(*speeds)
        products = f"; {in_words(pair.flops_per_s, 'FLOP/s')} in bf16" if pair.flops_per_s else ""
        said[f"{pair.source} to {pair.target}"] = f"{measured} ({road}){products}"
    return said or {"no GPU": "nothing to measure"}


def _show(found: dict[str, Any]) -> None:
    gpus, about, link = (found.pop(part, None) for part in ("gpus", "findings", "link"))
    for name, value in found.items():
        click.echo(f"{name:20} {plain(value)}")
    for gpu in gpus or ():
        memory = units.in_words(gpu.memory_bytes, "B") if gpu.memory_bytes else "memory unknown"
        used = f", used by {gpu.processes} process{'es' * (gpu.processes > 1)} now" if gpu.processes else ""
        click.echo(f"{f'GPU {gpu.index}':20} {gpu.name}, {memory}{used}")
    if link:
        click.echo(f"{'round trip':20} {in_time(link.round_trip_s)} to {link.peer}")
    for finding in about or ():
        click.echo(f"\n{finding.severity:20} {finding.what}")
        for text in filter(None, (finding.effect, finding.fix and f"To do: {finding.fix}")):
            click.echo(textwrap.fill(text, 110, initial_indent=" " * 21, subsequent_indent=" " * 21))
