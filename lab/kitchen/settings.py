"""What the controls say, in words, and what of it differs from the run that is shown. Pure: no widget here."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine.scenario import Scenario
from engine.units import in_words
from lab.scene.words import TITLES


class Setting(NamedTuple):
    """`key`: its widget's. `words`: with a place for what `says` says of it."""

    key: str
    of: Callable[[Scenario], object]
    words: str
    says: Callable[[Scenario], str]


def _tokens(count: int) -> str:
    return f"{count:,}"


def _rate(scenario: Scenario) -> str:
    rate = scenario.workload.rate_per_s
    return f"{rate:g} a second" if rate else "all at once"


def _link(scenario: Scenario) -> str:
    rate = scenario.link.bandwidth_bytes_per_s
    return in_words(rate, "B/s") if rate else "unpaced"


def _long(scenario: Scenario) -> int:
    return scenario.workload.long_prompt_tokens if scenario.workload.long_every else 0


SHIPPED = {"whole": "whole", "layers": "layer by layer"}
FIRST = {"prefill": "prep", "decode": "plating"}
ORDERS = (
    Setting("orders", lambda s: s.workload.requests, "{} orders", lambda s: f"{s.workload.requests}"),
    Setting("rate", lambda s: s.workload.rate_per_s or 0.0, "arriving {}", _rate),
    Setting(
        "prompt",
        lambda s: s.workload.prompt_tokens,
        "prompts of {} tokens",
        lambda s: _tokens(s.workload.prompt_tokens),
    ),
    Setting("long", _long, "every 4th prompt {}", lambda s: _tokens(_long(s)) if _long(s) else "as the others"),
    Setting("answer", lambda s: s.workload.output_tokens, "answers of {}", lambda s: _tokens(s.workload.output_tokens)),
)
PORTIONS = (
    Setting("chunk", lambda s: s.deployment.chunk, "portions of {} tokens", lambda s: _tokens(s.deployment.chunk)),
)
LINK = (
    Setting("link", lambda s: s.link.bandwidth_bytes_per_s or 0.0, "pass {}", _link),
    Setting(
        "latency", lambda s: round(s.link.latency_s * 1000), "latency {}", lambda s: f"{s.link.latency_s * 1e3:g} ms"
    ),
)
PASS = (
    Setting("transport", lambda s: s.deployment.transport, "trays over {}", lambda s: s.deployment.transport),
    Setting("ship", lambda s: s.deployment.ship, "trays leave {}", lambda s: SHIPPED[s.deployment.ship]),
    Setting("first", lambda s: s.deployment.first_token, "token 1 from {}", lambda s: FIRST[s.deployment.first_token]),
    Setting(
        "prep", lambda s: s.deployment.prefill_workers, "prep stations {}", lambda s: f"{s.deployment.prefill_workers}"
    ),
)
UNUSUAL = ("latency", "transport", "ship", "first", "prep")  # said only where they differ


def _of(scenarios: Sequence[Scenario], link: bool = True) -> tuple[Setting, ...]:
    """The settings that matter to these kitchens."""
    kinds = {scenario.deployment.kind for scenario in scenarios}
    split = "disaggregated" in kinds
    return ORDERS + PORTIONS * ("chunked" in kinds) + LINK * (split and link) + PASS * split


def described(scenarios: Sequence[Scenario]) -> str:
    """ "8 orders, arriving 2 a second, prompts of 64 tokens, every 4th prompt 1,024, answers of 128, pass 50 MB/s"."""
    usual = (setting for setting in _of(scenarios) if setting.key not in UNUSUAL)
    return ", ".join(setting.words.format(setting.says(scenarios[0])) for setting in usual)


def differences(shown: Sequence[Scenario], wished: Sequence[Scenario], *, follows_link: bool = False) -> str:
    """What the controls say instead of what is shown: "24 orders instead of 8"; "" if it is the same.

    `follows_link`: the link of what is shown is the one set, as in a run that goes on.
    """
    kinds = [[scenario.deployment.kind for scenario in side] for side in (shown, wished)]
    if kinds[0] != kinds[1]:
        names = [" beside ".join(TITLES[kind] for kind in side) for side in kinds]
        return f"{names[1]} instead of {names[0]}"
    first, wish = shown[0], wished[0]
    other = (setting for setting in _of(shown, link=not follows_link) if setting.of(first) != setting.of(wish))
    return ", ".join(
        f"{setting.words.format(setting.says(wish))} instead of {setting.says(first)}" for setting in other
    )


def values(scenario: Scenario) -> dict[str, object]:
    """What the widgets, by key, must say for this scenario."""
    fixed = ("prep", "transport")  # which there are depends on the lab
    return {
        setting.key: setting.of(scenario) for setting in ORDERS + PORTIONS + LINK + PASS if setting.key not in fixed
    }
