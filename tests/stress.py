"""Kill workers at random moments and compare every token with an undisturbed run's.

    python -m tests.stress --kills 50        (also: make stress)

It ends after the run of the last kill, or at the first difference, leak or orphan.
"""

import random
import sys

import click
import msgspec

from engine.events import Event
from engine.link import LinkSpec
from engine.live.process.front import Front
from engine.scenario import Deployment, ModelSpec, Scenario, Workload
from tests.disturbed import answers, children, names, recalled, run_on_front


@click.command()
@click.option("--kills", default=50, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--model", default="smollm2-135m", show_default=True)
def main(kills: int, seed: int, model: str) -> None:
    rng = random.Random(seed)
    before = names()
    spec = ModelSpec(model, "fp32")
    scenario = Scenario(
        Deployment("disaggregated"),
        LinkSpec(20e6, 0.001),
        Workload(requests=4, prompt_tokens=96, output_tokens=12, long_prompt_tokens=400, long_every=2, ignore_eos=True),
        spec,
    )
    with Front(scenario.deployment, scenario.link, spec, transports=("shm", "tcp")) as front:
        front.start()
        expected = answers(calm := run_on_front(front, scenario))
        events = len(calm.events)
        for number in range(kills):
            victim = rng.choice(["worker-0", "worker-1"])
            ship, transport = rng.choice(["whole", "layers"]), rng.choice(["shm", "tcp"])
            deployment = msgspec.structs.replace(scenario.deployment, ship=ship, transport=transport)
            countdown = rng.randrange(events - 10)

            def fault(front: Front, event: Event) -> bool:
                nonlocal countdown
                countdown -= 1
                if countdown < 0:
                    front.kill(victim)  # noqa: B023 (it is called in this iteration only)
                return countdown < 0

            log = run_on_front(front, msgspec.structs.replace(scenario, deployment=deployment), fault)
            if answers(log) != expected:
                sys.exit(f"kill {number}: {victim} over {transport}, {ship}: tokens differ")
            click.echo(
                f"kill {number + 1}/{kills}: {victim}, {transport}, {ship}: {len(recalled(log))} recalled, same tokens"
            )
    if children():
        sys.exit(f"processes left behind: {children()}")
    if names() != before:
        sys.exit(f"shared memory left behind: {names() - before}")
    click.echo(f"{kills} kills, every request ended with the undisturbed tokens; nothing was left behind.")


if __name__ == "__main__":
    main()
