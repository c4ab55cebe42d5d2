"""Lift by segment, corrected for the number of segments and arms that are looked at."""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import replace

from experiments.arms import AA, ABLATIONS, CONTROL, LINEAR, PRIMARY
from experiments.report.answer import Answer, Row, ask
from experiments.report.figures import (
    METRICS,
    Estimate,
    Grid,
    Panel,
    arm_order,
    estimate_of,
    forest_panel,
    label_of,
    number_of,
)
from experiments.statistics.bootstrap import N_REPLICATES
from experiments.statistics.corrections import benjamini_hochberg
from experiments.verdict import ESTIMATOR, PRIMARY_METRIC
from experiments.wording import short
from sql.database import Database

MOST_SEGMENTS = 30
LEAST_P_VALUE = 2 / (N_REPLICATES + 1)

_SEGMENTS = """
    SELECT segment, arm, metric, n_requests, lift, ci_low, ci_high, p_value
    FROM experiment_lift
    WHERE date = :date AND metric = :metric AND estimator = :estimator AND arm NOT IN :left_out
        AND segment IN (
            SELECT segment FROM experiment_lift
            WHERE date = :date AND segment <> 'all' AND estimator = :estimator
            GROUP BY segment ORDER BY MAX(n_requests) DESC, segment LIMIT :most
        )
    ORDER BY segment, arm
"""


def segment_answers(database: Database, date: dt.date) -> dict[str, Answer]:
    """Per metric, the rows of experiment_lift of the largest segments and the judged arms."""
    fixed = {"estimator": ESTIMATOR, "left_out": [AA, *LINEAR, *ABLATIONS], "most": MOST_SEGMENTS}
    return {
        metric: ask(database, _SEGMENTS, date=date, metric=metric, **fixed) for metric in METRICS
    }


def adjusted_p_values(rows: Sequence[Row]) -> list[float]:
    """p_value of each row adjusted by Benjamini-Hochberg over all of them; null stays NaN.

    Of the rows whose adjusted value is below 0.05, at most 5 % are expected to be false
    (Benjamini and Hochberg, Controlling the False Discovery Rate, J. R. Statist. Soc. B 1995). Rows
    without a p-value do not count.

    >>> adjusted_p_values([{"p_value": p} for p in (0.01, 0.04, None, 0.02)])
    [0.03, 0.04, nan, 0.03]
    """
    return benjamini_hochberg([number_of(row["p_value"]) for row in rows])


def segment_figures(answers: dict[str, Answer]) -> tuple[Panel | None, tuple[Grid, ...]]:
    """(forest of saves of the primary arm over segments, one grid of segments x arms per metric).

    All of a metric's rows are corrected together. The plot is None without the primary arm; a
    metric without rows has no grid.
    """
    plot, grids = None, []
    for metric, answer in answers.items():
        if not answer.rows:
            continue
        adjusted = adjusted_p_values(answer.rows)
        cells = {
            (row["segment"], row["arm"]): estimate_of(row, label_of(row["arm"]), adjusted=p)
            for row, p in zip(answer.rows, adjusted, strict=True)
        }
        sizes = {row["segment"]: row["n_requests"] for row in answer.rows}
        grids.append(_grid(answer, METRICS[metric], cells, sizes))
        if metric == PRIMARY_METRIC:
            plot = _forest(answer, cells, sizes, grids[-1].note)
    return plot, tuple(grids)


def remaining(cells: dict[tuple[str, str], Estimate]) -> str:
    """How many segments still differ from the control once all rows are corrected, in words.

    cells: (segment, arm) -> estimate with its adjusted p-value. Says too how many rows may be
    unmarked only because a bootstrap's p-values end at 2 / (replicates + 1).
    """
    segments = sorted({segment for segment, _ in cells}, key=_segment_order)
    left = [s for s in segments if any(cells[k].reading != "unclear" for k in cells if k[0] == s)]
    n_known = sum(math.isfinite(cell.adjusted) for cell in cells.values())
    names = f" ({', '.join(short(s, 40) for s in left)})" if left else ""
    said = (
        f"Segments in which some arm differs from {CONTROL}, with {n_known} p-values adjusted "
        f"together: {len(left)} of {len(segments)}{names}."
    )
    unmarked = [cell.p_value for cell in cells.values() if cell.reading == "unclear"]
    n_least = sum(math.isclose(p, LEAST_P_VALUE) for p in unmarked)
    if not n_least:
        return said
    return (
        f"{said} Rows that are not marked but have the least p-value that {N_REPLICATES:,} "
        f"replicates can give ({LEAST_P_VALUE:.3f}): {n_least}; more replicates might mark them."
    )


def _grid(
    answer: Answer, title: str, cells: dict[tuple[str, str], Estimate], sizes: dict[str, int]
) -> Grid:
    arms = arm_order([arm for _, arm in cells])
    rows = tuple(
        (short(s, 40), sizes[s], tuple(cells.get((s, arm)) for arm in arms))
        for s in sorted(sizes, key=_segment_order)
    )
    return Grid(title, tuple(map(label_of, arms)), rows, (answer,), remaining(cells))


def _forest(
    answer: Answer, cells: dict[tuple[str, str], Estimate], sizes: dict[str, int], note: str
) -> Panel | None:
    estimates = tuple(
        replace(cells[s, PRIMARY], label=f"{short(s, 26)} · {sizes[s]:,}")
        for s in sorted(sizes, key=_segment_order)
        if (s, PRIMARY) in cells
    )
    title = f"Saves, {PRIMARY}"
    if not estimates:
        return None
    return forest_panel(PRIMARY_METRIC, title, estimates, (answer,), "segments", note)


def _segment_order(segment: str) -> tuple[int, str]:
    dimensions = ("query_has_object", "category", "platform")
    dimension = segment.partition("=")[0]
    known = dimensions.index(dimension) if dimension in dimensions else len(dimensions)
    return known, segment
