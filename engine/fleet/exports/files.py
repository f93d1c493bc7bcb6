"""All exports of an advice, as files by name."""

import msgspec

from engine.fleet.advisor.advice import Advice
from engine.fleet.exports import dynamo, kubernetes, vllm
from engine.fleet.exports.report import report
from engine.units import amount


def files(advice: Advice) -> dict[str, str]:
    """The text of each file. Dynamo's are left out if it cannot run the plan; the report says why."""
    plan = advice.plan
    made = {
        "report.md": advice_report(advice),
        "vllm.sh": vllm.script(plan),
        "kubernetes.yaml": kubernetes.manifests_yaml(plan),
        "advice.json": msgspec.json.format(msgspec.json.encode(advice)).decode(),
    }
    if not dynamo.obstacle(plan):
        made |= {"dynamo.yaml": dynamo.deployment_yaml(plan), "dynamo-planner.yaml": dynamo.planner_yaml(plan)}
    return made


def advice_report(advice: Advice) -> str:
    """The Markdown report of the plan, with the advice's reasons, flips and findings."""
    other = advice.runner_up
    turning = [flip.sentence for flip in advice.flips]
    if advice.next_tier:
        turning.append(f"Next tier: {advice.next_tier.sentence}")
    turning += [advice.close] if advice.close else []
    turning += [f"With {v.what}: {v.verdict}." for v in advice.uncertainty if v.verdict != advice.verdict]
    return report(
        advice.plan,
        reasons=[advice.sentence, *(reason.sentence for reason in advice.reasons), advice.assumes],
        runner_up=f"{other.candidate.label}: sustains {amount(other.sustained_per_s)} requests/s." if other else "",
        flips=turning,
        findings=advice.findings,
    )
