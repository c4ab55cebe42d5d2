"""The metrics that arms are compared by: what is counted, over what, and which way is better."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A named value: numerator over denominator.

    unit: what one is of; kind: `engagement` (an action per request, estimated for every arm),
    `health` (of the page that an arm would show, known without an estimate) or `traffic` (of people
    in the traffic that was shown; no arm has it before it is launched). A guardrail may stop an arm
    but never ships one.
    """

    name: str
    title: str
    numerator: str
    denominator: str
    unit: str
    kind: Literal["engagement", "health", "traffic"] = "engagement"
    more_is_better: bool = True
    guardrail: bool = False

    @property
    def meaning(self) -> str:
        """Numerator over denominator, in words."""
        return f"{self.numerator} / {self.denominator}"


def _per_request(name: str, title: str, *, guardrail: bool = False) -> Metric:
    return Metric(
        name, title, f"impressions with a {name.replace('_', ' ')}", "requests",
        f"{name.replace('_', ' ')}s per request", "engagement", not guardrail, guardrail,
    )  # fmt: skip


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _per_request("save", "Saves"),
        _per_request("click", "Clicks"),
        _per_request("long_click", "Long clicks"),
        _per_request("closeup", "Closeups"),
        _per_request("hide", "Hides (fewer is better)", guardrail=True),
        Metric(
            "diversity", "Diversity",
            "sum over requests of the chance that two pins of the page, drawn with replacement, "
            "have dominant objects of different categories (Gini-Simpson; no object is a category)",
            "requests", "0 to 1", "health",
        ),
        Metric(
            "new_pin_share", "Share of new pins",
            "sum over requests of the share of the page's pins created in the 7 days before it",
            "requests", "0 to 1", "health",
        ),
        Metric(
            "save_propensity", "Save propensity",
            "users who saved", "users who saw", "0 to 1", "traffic",
        ),
    )
}  # fmt: skip
HEALTH = tuple(name for name, metric in METRICS.items() if metric.kind == "health")
ENGAGEMENT = tuple(name for name, metric in METRICS.items() if metric.kind == "engagement")


def known(names: Iterable[str]) -> tuple[Metric, ...]:
    """Returns the metrics of these names, in their order.

    Raises ValueError for a name that is none, with the names there are.

    >>> [metric.unit for metric in known(["save", "long_click"])]
    ['saves per request', 'long clicks per request']
    """
    asked = tuple(names)
    unknown = [name for name in asked if name not in METRICS]
    if unknown:
        raise ValueError(f"There is no metric {unknown[0]!r}; there are {', '.join(METRICS)}.")
    return tuple(METRICS[name] for name in asked)
