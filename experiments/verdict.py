"""What to do with the primary arm: ship it, hold it, or wait for more data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from experiments.arms import CONTROL, PRIMARY, SHIPPABLE
from experiments.checks import CRITICAL
from experiments.statistics.corrections import holm
from experiments.wording import percent

PRIMARY_METRIC = "save"
PRIMARY_METRICS = ("save", "click")
GUARDRAIL = "hide"
ESTIMATOR = "snips_position_based"
LEVEL = 0.05
WORTHWHILE = 0.01  # a lift that is surely smaller is not worth shipping

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """The decision, its reason in one sentence, and the adjusted p-values by (arm, metric)."""

    decision: Literal["ship", "hold", "more data"]
    sentence: str
    adjusted: Mapping[tuple[str, str], float]


def verdict(lifts: Sequence[Row], checks: Sequence[Row]) -> Verdict:
    """Returns the verdict on `targeted`, from the rows of experiment_lift and experiment_checks.

    Rows are of one date. Judged are position-based lifts of segment `all`. In this order: a failed
    critical check, or hides that rise significantly: hold. Saves differ from the control after
    Holm's correction over shippable arms and (save, click): ship a gain, hold a loss. The whole
    interval of saves below +1 %: hold. Otherwise: more data.
    """
    judged = {
        (row["arm"], row["metric"]): row
        for row in lifts
        if row["segment"] == "all" and row["estimator"] == ESTIMATOR and _known(row["p_value"])
    }
    family = [k for k in judged if k[0] in SHIPPABLE and k[1] in PRIMARY_METRICS]
    p_values = holm([judged[key]["p_value"] for key in family])
    adjusted = dict(zip(family, p_values, strict=True))
    failed = [c["name"] for c in checks if c["name"] in CRITICAL and not c["passed"]]
    if failed:
        reason = f"Hold: no lift can be trusted while {', '.join(failed)} fails."
        return Verdict("hold", reason, adjusted)
    row, hide = judged.get((PRIMARY, PRIMARY_METRIC)), judged.get((PRIMARY, GUARDRAIL))
    if row is None or not _known(row["ci_low"]):
        reason = f"More data: the lift of {PRIMARY} in saves cannot be estimated yet."
        return Verdict("more data", reason, adjusted)
    decision, reason = _judge(row, hide, adjusted[PRIMARY, PRIMARY_METRIC])
    return Verdict(decision, reason, adjusted)


def _judge(
    row: Row, hide: Row | None, p_value: float
) -> tuple[Literal["ship", "hold", "more data"], str]:
    found = (
        f"saves per request {percent(row['lift'])} against {CONTROL} (95% interval "
        f"{percent(row['ci_low'])} to {percent(row['ci_high'])}, adjusted p {p_value:.3f})"
    )
    if hide and hide["treatment"] > hide["control"] and hide["p_value"] < LEVEL:
        return "hold", f"Hold {PRIMARY}: people hide more of it (p {hide['p_value']:.3f}); {found}."
    if p_value < LEVEL and row["lift"] > 0:
        return "ship", f"Ship {PRIMARY}: {found}."
    if p_value < LEVEL:
        return "hold", f"Hold {PRIMARY}, it loses: {found}."
    if row["ci_high"] < WORTHWHILE:
        return "hold", f"Hold {PRIMARY}, a gain of {WORTHWHILE:.0%} is ruled out: {found}."
    return "more data", f"More data: {PRIMARY} cannot be told from no lift yet; {found}."


def _known(value: float | None) -> bool:
    return value is not None and value == value
