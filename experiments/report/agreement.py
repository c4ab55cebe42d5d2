"""Whether the arms' order by nDCG is their order by the estimated lift."""

import datetime as dt
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scipy.stats import kendalltau

from experiments.arms import ABLATIONS, CONTROL, LINEAR
from experiments.report.answer import Answer, Row, ask
from experiments.report.figures import (
    Estimate,
    Grid,
    Panel,
    arm_order,
    estimate_of,
    label_of,
    number_of,
)
from experiments.report.plots import orders, svg
from experiments.verdict import ESTIMATOR, PRIMARY_METRIC, Verdict
from experiments.wording import percent
from sql.database import Database

NDCG = "ndcg@10"

_AGREEMENT = """
    SELECT m.arm, m.value, CASE WHEN m.arm = :control THEN 0.0 ELSE l.lift END AS lift,
           l.ci_low, l.ci_high
    FROM ranking_metrics AS m
    LEFT JOIN experiment_lift AS l ON l.date = m.date AND l.arm = m.arm
        AND l.metric = :metric AND l.segment = 'all' AND l.estimator = :estimator
    WHERE m.date = :date AND m.metric = :ndcg AND m.arm NOT IN :left_out
    ORDER BY m.value DESC, m.arm
"""
_METRICS = """
    SELECT arm, metric, value, n_requests FROM ranking_metrics
    WHERE date = :date ORDER BY arm, metric
"""


def agreement_answer(database: Database, date: dt.date) -> Answer:
    """nDCG@10 and the lift in saves of each judged arm, the control's being 0 by definition."""
    return ask(
        database, _AGREEMENT, date=date, control=CONTROL, metric=PRIMARY_METRIC,
        estimator=ESTIMATOR, ndcg=NDCG, left_out=[*LINEAR, *ABLATIONS],
    )  # fmt: skip


def agreement_figures(answer: Answer, verdict: Verdict) -> tuple[Panel, Grid] | None:
    """The two orders of the arms as a plot, and the numbers by falling nDCG; None below two arms.

    Arms without an estimate are in the grid only.
    """
    found = {row["arm"]: _estimate(row, verdict) for row in answer.rows}
    values = {row["arm"]: number_of(row["value"]) for row in answer.rows}
    both = {arm: e for arm, e in found.items() if math.isfinite(e.lift)}
    if len(both) < 2:
        return None
    note = disagreement(values, both)
    rows = tuple((found[arm].label, 0, (value, found[arm])) for arm, value in values.items())
    grid = Grid("nDCG@10 beside the lift in saves", ("nDCG@10", "Lift in saves"), rows, (answer,))
    plot = orders([values[arm] for arm in both], [e.interval for e in both.values()])
    words = "Arms by falling nDCG@10, with their lift in saves. " + "; ".join(
        f"{e.label}: {values[arm]:.4f}, {percent(e.lift)}" for arm, e in both.items()
    )
    title = "Arms by nDCG@10 (left) and by lift in saves (right)"
    panel = Panel(
        PRIMARY_METRIC, title, svg(plot, "orders"), words, tuple(both.values()), (answer,), note
    )
    return panel, grid


def disagreement(values: Mapping[str, float], lifts: Mapping[str, Estimate]) -> str:
    """How well two orders of the same arms agree, and the pairs they order otherwise, in words.

    values: arm -> nDCG@10; lifts: arm -> estimate, of two arms at least. Kendall's tau (Kendall, A
    New Measure of Rank Correlation, Biometrika 1938) is that of scipy, corrected for ties.
    """
    arms = list(lifts)
    tau = kendalltau([values[arm] for arm in arms], [lifts[arm].lift for arm in arms]).statistic
    pairs = list(itertools.permutations(arms, 2))
    opposite = [
        (high, low) for high, low in pairs
        if values[high] > values[low] and lifts[high].lift < lifts[low].lift
    ]  # fmt: skip
    size = "n/a" if math.isnan(tau) else f"{tau:.2f}".replace("-", "−")
    said = f"Kendall's tau between the two orders of {len(arms)} arms is {size}"
    if not opposite:
        return f"{said}: no pair of arms is ordered one way by nDCG@10 and the other by the lift."
    above = [
        f"{high} above {_listed([low for first, low in opposite if first == high])}"
        for high in dict.fromkeys(high for high, _ in opposite)
    ]
    apart = sum(_apart(lifts[high], lifts[low]) for high, low in opposite)
    return (
        f"{said}: {len(opposite)} of {len(pairs) // 2} pairs are ordered one way by nDCG@10 and "
        f"the other by the lift. nDCG@10 puts {'; '.join(above)}. The intervals of the two lifts "
        f"overlap in {len(opposite) - apart} of these {len(opposite)}."
    )


def metrics_grid(database: Database, date: dt.date) -> Grid:
    """Arms x ranking metrics."""
    answer = ask(database, _METRICS, date=date)
    cells = {(r["arm"], r["metric"]): r for r in answer.rows}
    columns = tuple(sorted({r["metric"] for r in answer.rows}, reverse=True))
    rows = tuple(
        (label_of(arm), max(r["n_requests"] for r in answer.rows if r["arm"] == arm),
         tuple(number_of(cells.get((arm, c), {}).get("value")) for c in columns))
        for arm in arm_order([r["arm"] for r in answer.rows])
    )  # fmt: skip
    return Grid("Ranking metrics", columns, rows, (answer,))


def _estimate(row: Row, verdict: Verdict) -> Estimate:
    arm = row["arm"]
    adjusted = verdict.adjusted.get((arm, PRIMARY_METRIC))
    found = estimate_of({**row, "metric": PRIMARY_METRIC}, label_of(arm), adjusted=adjusted)
    if arm == CONTROL:
        return replace(found, label=f"{CONTROL} (control)", low=0.0, high=0.0)
    return found


def _apart(one: Estimate, other: Estimate) -> bool:
    """Whether the intervals do not touch; False where one is not known."""
    return one.low > other.high or other.low > one.high


def _listed(arms: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(arms[:-1]), arms[-1])))
