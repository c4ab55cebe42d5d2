"""What to do with the treatment of a plan: ship it, hold it, or wait for more data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from experiments.checks import CRITICAL
from experiments.metrics import METRICS
from experiments.plan import DAILY, Plan
from experiments.statistics.corrections import holm
from experiments.wording import percent

ESTIMATOR = "snips_position_based"
PRIMARY_METRIC, GUARDRAIL, LEVEL = DAILY.primary[0], DAILY.guardrails[0], DAILY.level

Row = Mapping[str, Any]
Decision = Literal["ship", "hold", "more data"]


@dataclass(frozen=True)
class Verdict:
    """The decision, its reason in one sentence, and the adjusted p-values by (arm, metric)."""

    decision: Decision
    sentence: str
    adjusted: Mapping[tuple[str, str], float]


def verdict(lifts: Sequence[Row], checks: Sequence[Row], plan: Plan = DAILY) -> Verdict:
    """Returns the verdict on the plan's treatment, from its lifts and checks.

    Judged are position-based lifts of segment `all`. In this order: a failed critical check, or a
    guardrail that gets worse significantly: hold. The first primary metric differs from the control
    after Holm's correction over the arms that could ship and the primary metrics: ship a gain, hold
    a loss. Its whole interval below the worthwhile lift: hold. Otherwise: more data.
    """
    judged = {
        (row["arm"], row["metric"]): row
        for row in lifts
        if row["segment"] == "all" and row["estimator"] == ESTIMATOR and _known(row["p_value"])
    }
    arms = tuple(dict.fromkeys(arm for arm, _ in judged))
    family = [key for key in plan.family(arms) if key in judged]
    p_values = holm([judged[key]["p_value"] for key in family])
    adjusted = dict(zip(family, p_values, strict=True))
    failed = [c["name"] for c in checks if c["name"] in CRITICAL and not c["passed"]]
    if failed:
        reason = f"Hold: no lift can be trusted while {', '.join(failed)} fails."
        return Verdict("hold", reason, adjusted)
    key = (plan.treatment, plan.primary[0])
    row = judged.get(key)
    if key not in adjusted or row is None or not _known(row["ci_low"]):
        why = f"the lift of {key[0]} in {_noun(key[1])} cannot be estimated yet"
        if row is not None and key not in adjusted:
            why = f"{key[0]} is for evaluation only and cannot be shipped"
            return Verdict("hold", f"Hold: {why}; {_found(plan, row)}.", adjusted)
        return Verdict("more data", f"More data: {why}.", adjusted)
    guards = [judged[guard] for m in plan.guardrails if (guard := (key[0], m)) in judged]
    decision, reason = _judge(plan, row, guards, adjusted[key])
    return Verdict(decision, reason, adjusted)


def _found(plan: Plan, row: Row, adjusted: float | None = None) -> str:
    p = f"p {row['p_value']:.3f}" if adjusted is None else f"adjusted p {adjusted:.3f}"
    return (
        f"{METRICS[row['metric']].unit} {percent(row['lift'])} against {plan.control} (95% "
        f"interval {percent(row['ci_low'])} to {percent(row['ci_high'])}, {p})"
    )


def _judge(plan: Plan, row: Row, guards: Sequence[Row], p_value: float) -> tuple[Decision, str]:
    arm, found = plan.treatment, _found(plan, row, p_value)
    for guard in guards:
        if _worse(guard) and guard["p_value"] < plan.level:
            more = "hide more of it" if guard["metric"] == "hide" else _change(guard)
            return "hold", f"Hold {arm}: people {more} (p {guard['p_value']:.3f}); {found}."
    gain = row["lift"] > 0 if METRICS[row["metric"]].more_is_better else row["lift"] < 0
    if p_value < plan.level and gain:
        return "ship", f"Ship {arm}: {found}."
    if p_value < plan.level:
        return "hold", f"Hold {arm}, it loses: {found}."
    if row["ci_high"] < plan.worthwhile and METRICS[row["metric"]].more_is_better:
        return "hold", f"Hold {arm}, a gain of {plan.worthwhile * 100:g}% is ruled out: {found}."
    return "more data", f"More data: {arm} cannot be told from no lift yet; {found}."


def _worse(row: Row) -> bool:
    rises = bool(row["treatment"] > row["control"])
    return rises is not METRICS[row["metric"]].more_is_better and row["treatment"] != row["control"]


def _change(row: Row) -> str:
    direction = "more" if row["treatment"] > row["control"] else "fewer"
    return f"make {direction} {_noun(row['metric'])}"


def _noun(metric: str) -> str:
    return METRICS[metric].unit.removesuffix(" per request")


def _known(value: float | None) -> bool:
    return value is not None and value == value
