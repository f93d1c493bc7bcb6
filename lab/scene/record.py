"""Record the runs that ship with the lab: `python -m lab.scene.record`.

Three deployments, the same orders, on this machine, now.
"""

from engine.link import LinkSpec
from engine.live.process.run import run_live
from engine.log import save
from engine.scenario import KINDS, Deployment, ModelSpec, Scenario, Workload
from lab.scene.recordings import FOLDER

WORKLOAD = Workload(
    requests=8,
    rate_per_s=2.0,
    prompt_tokens=64,
    output_tokens=48,
    long_prompt_tokens=1024,
    long_every=4,
    ignore_eos=True,
    seed=1,
)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for kind in KINDS:
        scenario = Scenario(Deployment(kind, chunk=128), LinkSpec(20e6, 0.001), WORKLOAD, ModelSpec())
        save(run_live(scenario), FOLDER / f"{kind}.jsonl.gz")


if __name__ == "__main__":
    main()
