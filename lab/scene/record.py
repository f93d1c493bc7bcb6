"""Record the runs that ship with the lab: `python -m lab.scene.record`.

Three deployments, the same orders, on this machine, now. The orders are chosen so that each has something to show in
ten seconds: giants that freeze the answers beside them, portions, and a tray that takes its time on the pass.
"""

import sys

from engine.causes import causes
from engine.disturbed import disturbance
from engine.link import LinkSpec
from engine.live.process.run import run_live
from engine.log import save
from engine.scenario import KINDS, Deployment, ModelSpec, Scenario, Workload
from engine.stall import longest, says
from lab.scene.recordings import FOLDER

WORKLOAD = Workload(
    requests=8,
    rate_per_s=2.0,
    prompt_tokens=64,
    output_tokens=128,
    long_prompt_tokens=1024,
    long_every=4,
    ignore_eos=True,
    seed=1,
)
LINK = LinkSpec(50e6, 0.001)
TRIES = 4  # each; a run that something else disturbed is no picture of the engine


def main() -> int:
    """Record one run of each deployment, each without disturbance. The exit status."""
    FOLDER.mkdir(exist_ok=True)
    for kind in KINDS:
        scenario = Scenario(Deployment(kind, chunk=128), LINK, WORKLOAD, ModelSpec())
        for _ in range(TRIES):
            log = run_live(scenario)
            stall = longest(causes(log.events))
            print(kind, log.machine, says(stall) if stall else "no stall", disturbance(log.events))  # noqa: T201
            if not disturbance(log.events):
                save(log, FOLDER / f"{kind}.jsonl.gz")
                break
        else:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
