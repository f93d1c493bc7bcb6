"""A plan as a page of Markdown for colleagues: the verdict, its numbers, what would change it, and how to deploy it."""

from collections.abc import Sequence

from engine.fleet.advisor.plan import Plan, gpu_of
from engine.fleet.exports import dynamo, kubernetes, vllm
from engine.fleet.host.finding import Finding
from engine.units import in_words

VERDICTS = {
    "colocate": "Co-locate prefill and decode, with whole prompts",
    "colocate-chunked": "Co-locate prefill and decode, with chunked prefill",
    "disaggregate": "Disaggregate: prefill and decode in separate pools",
    "conditional": "Disaggregate long prompts only",
    "fix-first": "Fix the fabric first",
}


def report(
    plan: Plan,
    *,
    reasons: Sequence[str] = (),
    runner_up: str = "",
    flips: Sequence[str] = (),
    findings: Sequence[Finding] = (),
) -> str:
    """Markdown. Empty arguments have no section."""
    parts = [f"# {VERDICTS[plan.verdict]}", _table(plan)]
    parts += _listed("Why", reasons)
    parts += ["## Runner-up\n\n" + runner_up] if runner_up else []
    parts += _listed("What would change the verdict", flips)
    parts += _listed("Findings", [_found(finding) for finding in findings])
    parts.append(_fenced("vLLM", "bash", vllm.script(plan)))
    if obstacle := dynamo.obstacle(plan):
        parts.append(f"## Dynamo\n\n{obstacle}")
    else:
        parts.append(_fenced("Dynamo", "yaml", dynamo.deployment_yaml(plan)))
        parts.append(_fenced("Dynamo's planner", "yaml", dynamo.planner_yaml(plan)))
    parts.append(_fenced("Kubernetes without Dynamo", "yaml", kubernetes.manifests_yaml(plan)))
    return "\n\n".join(parts) + "\n"


def _table(plan: Plan) -> str:
    rows = {
        "Model": plan.model,
        "Shape": f"{plan.shape}, {plan.gpus} GPUs",
        **{f"{role.capitalize()} GPUs": gpu_of(pool).label for role, pool in plan.pools.items()},
        "Load": f"{plan.isl_tokens:,} tokens in, {plan.osl_tokens:,} out",
        "Targets": f"TTFT {plan.ttft_slo_s:g} s, ITL {plan.itl_slo_s * 1e3:g} ms",
    }
    if plan.split:
        achieved = in_words(plan.road.achieved_bytes_per_s, "B/s")
        rows["Fabric"] = f"{plan.road.label}, {achieved} of {in_words(plan.road.bytes_per_s, 'B/s')} reached"
    else:
        rows["Chunk budget"] = f"{plan.chunk_tokens:,} tokens per step" if plan.chunk_tokens else "none: whole prompts"
    if plan.remote_above_tokens is not None:
        rows["Prefilled elsewhere"] = f"prompts above {plan.remote_above_tokens:,} uncached tokens"
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows.items())])


def _listed(title: str, items: Sequence[str]) -> list[str]:
    return [f"## {title}\n\n" + "\n".join(f"- {item}" for item in items)] if items else []


def _found(finding: Finding) -> str:
    return " ".join(filter(None, (f"**{finding.severity}**", finding.what, finding.effect, finding.fix)))


def _fenced(title: str, language: str, text: str) -> str:
    return f"## {title}\n\n```{language}\n{text.rstrip()}\n```"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
