"""What the report says in numbers: lift, segments, days, coverage, importances, metrics, rows."""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.answer import Answer, Row, ask
from experiments.arms import AA, ABLATIONS, ARMS, CONTROL, PRIMARY
from experiments.plots import Interval, daily, forest, svg
from experiments.verdict import ESTIMATOR, Verdict
from experiments.wording import percent, reading, short
from sql.database import Database
from sql.tables import ENGAGEMENT_FEATURES, METADATA, PAIR_FEATURES, PAIR_INTEREST

METRICS = {
    "save": "Saves",
    "click": "Clicks",
    "long_click": "Long clicks",
    "closeup": "Closeups",
    "hide": "Hides (fewer is better)",
}
ARM_LABELS = {"oracle": "oracle (evaluation only)", AA: f"{AA} (A/A)"}
MEANINGS = {
    **PAIR_FEATURES, **PAIR_INTEREST, **ENGAGEMENT_FEATURES,
    "source": "what proposed the candidate",
}  # fmt: skip
MOST_SEGMENTS = 30
WIDE = "snips_item_position"

_LIFT = """
    SELECT arm, metric, segment, estimator, n_requests, n_users, effective_sample_size,
           control, treatment, lift, ci_low, ci_high, p_value
    FROM experiment_lift
    WHERE date = :date AND segment = 'all'
    ORDER BY arm, metric, estimator
"""
_SEGMENTS = """
    SELECT segment, arm, metric, n_requests, lift, ci_low, ci_high
    FROM experiment_lift
    WHERE date = :date AND segment <> 'all' AND estimator = :estimator AND arm NOT IN :left_out
    ORDER BY segment, arm, metric
"""
_DAILY = """
    SELECT arm, metric, day, n_requests, value, lift
    FROM arm_daily_engagement
    WHERE date = :date AND arm NOT IN :left_out
    ORDER BY metric, arm, day
"""
_COVERAGE = """
    SELECT what, n, n_covered, share FROM feature_coverage
    WHERE feature_version = :version
"""
_IMPORTANCES = """
    SELECT feature, gain_share, n_splits FROM feature_importances
    WHERE date = :date AND arm = :arm
    ORDER BY gain_share DESC, feature LIMIT 15
"""
_METRICS = """
    SELECT arm, metric, value, n_requests FROM ranking_metrics
    WHERE date = :date ORDER BY arm, metric
"""
_SET_ASIDE = """
    SELECT source_table, reason, COUNT(*) AS n FROM quarantine
    GROUP BY source_table, reason
    ORDER BY n DESC, source_table, reason LIMIT 40
"""
_COUNTED = (
    "pins", "requests", "impressions", "engagements", "candidates", "crops", "true_boxes",
    "pin_visuals", "pin_objects", "object_interest", "pair_features", "pair_interest",
    "pin_pair_engagement", "engagement_features", "rankings", "experiment_lift",
)  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """A lift for people; `reading` is better, worse or unclear. NaN where it is not known.

    wide: (lift, low, high) position by position; adjusted: p-value by Holm, where the verdict
    looks at it; p_value, effective_sample_size, control and treatment as in experiment_lift.
    """

    label: str
    lift: float
    low: float
    high: float
    reading: str
    control: float = math.nan
    treatment: float = math.nan
    p_value: float = math.nan
    adjusted: float = math.nan
    effective_sample_size: float = math.nan
    wide: tuple[float, float, float] = (math.nan, math.nan, math.nan)

    @property
    def interval(self) -> Interval:
        """The same as a row of a forest plot."""
        return Interval(self.label, self.lift, self.low, self.high, self.wide)


@dataclass(frozen=True)
class Panel:
    """One metric: its title, plot (an <svg>), the plot in words, and the estimates behind it."""

    metric: str
    title: str
    plot: str
    words: str
    estimates: tuple[Estimate, ...]


@dataclass(frozen=True)
class Grid:
    """A table of cells by row and column; a cell is an Estimate, a number or None."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[Estimate | float | None, ...]], ...]


def arm_order(names: Sequence[str]) -> list[str]:
    """Arm names as the arms are listed, without repeats; arms that are not listed come last.

    >>> arm_order(["targeted", "mine", "presence", "targeted"])
    ['presence', 'targeted', 'mine']
    """
    known = list(ARMS)
    return sorted(set(names), key=lambda n: (known.index(n) if n in known else len(known), n))


def label_of(arm: str) -> str:
    return ARM_LABELS.get(arm, short(arm, 30))


def lift_answer(database: Database, date: dt.date) -> Answer:
    """The rows of experiment_lift over all held-out requests.

    Raises ValueError where there was no experiment on the date.
    """
    answer = ask(database, _LIFT, date=date)
    if not answer.rows:
        raise ValueError(
            f"There is no experiment of {date}: run related-pins experiment --date {date} first."
        )
    return answer


def lift_panels(rows: Sequence[Row], verdict: Verdict) -> tuple[Panel, ...]:
    """One panel per metric, saves first; the estimates in the order of the arms."""
    panels = []
    for metric, title in METRICS.items():
        main, wide = (
            {r["arm"]: r for r in rows if r["metric"] == metric and r["estimator"] == estimator}
            for estimator in (ESTIMATOR, WIDE)
        )
        estimates = tuple(
            _estimate(
                main[arm],
                label_of(arm),
                wide.get(arm),
                verdict.adjusted.get((arm, metric), math.nan),
            )
            for arm in arm_order(list(main))
            if arm not in ABLATIONS
        )
        if estimates:
            panels.append(_panel(metric, title, estimates, f"lift {metric}"))
    return tuple(panels)


def ablation_grid(rows: Sequence[Row]) -> Grid:
    """Arms that see a part of the features x metrics, the primary arm and the oracle below them;
    no rows where no such arm was judged.
    """
    cells = {
        (r["arm"], r["metric"]): _estimate(r, label_of(r["arm"]))
        for r in rows if r["estimator"] == ESTIMATOR
    }  # fmt: skip
    arms = [arm for arm in ABLATIONS if any((arm, metric) in cells for metric in METRICS)]
    shown = [*arms, PRIMARY, "oracle"] if arms else []
    grid = tuple(
        (label_of(arm), 0, tuple(cells.get((arm, metric)) for metric in METRICS)) for arm in shown
    )
    return Grid("What each family of features gives", tuple(METRICS.values()), grid)


def lift_grid(panels: Sequence[Panel]) -> Grid:
    """Arms x metrics."""
    arms = list(dict.fromkeys(e.label for panel in panels for e in panel.estimates))
    cells = {(panel.metric, e.label): e for panel in panels for e in panel.estimates}
    rows = tuple((arm, 0, tuple(cells.get((p.metric, arm)) for p in panels)) for arm in arms)
    return Grid("Lift per arm and action", tuple(panel.title for panel in panels), rows)


def segment_grids(answer: Answer, arms: Sequence[str]) -> tuple[Panel | None, tuple[Grid, ...]]:
    """(forest of saves of the primary arm over segments, one grid of segments x arms per metric);
    the plot is None without the primary arm. Only the largest segments are shown.
    """
    sizes = {row["segment"]: row["n_requests"] for row in answer.rows}
    shown = sorted(sorted(sizes, key=lambda s: -sizes[s])[:MOST_SEGMENTS], key=_segment_order)
    cells = {(r["metric"], r["segment"], r["arm"]): r for r in answer.rows}
    columns = [arm for arm in arms if arm not in (AA, *ABLATIONS)]
    grids = []
    for metric, title in METRICS.items():
        rows = tuple(
            (short(s, 40), sizes[s],
             tuple(_estimate(cells[metric, s, a], label_of(a)) if (metric, s, a) in cells else None
                   for a in columns))
            for s in shown
        )  # fmt: skip
        grids.append(Grid(title, tuple(map(label_of, columns)), rows))
    estimates = tuple(
        _estimate(cells["save", s, PRIMARY], f"{short(s, 26)} · {sizes[s]:,}")
        for s in shown if ("save", s, PRIMARY) in cells
    )  # fmt: skip
    plot = _panel("save", f"Saves, {PRIMARY}", estimates, "segments") if estimates else None
    return plot, tuple(grids)


def segment_answer(database: Database, date: dt.date) -> Answer:
    return ask(database, _SEGMENTS, date=date, estimator=ESTIMATOR, left_out=[AA, *ABLATIONS])


def daily_answer(database: Database, date: dt.date) -> Answer:
    return ask(database, _DAILY, date=date, left_out=[AA, *ABLATIONS])


def daily_panels(answer: Answer) -> tuple[list[str], tuple[Panel, ...], tuple[Grid, ...]]:
    """(treatment arms in the order of their colours, one plot and one grid of arms x days per
    metric).
    """
    cells = {(r["metric"], r["arm"], r["day"]): r for r in answer.rows}
    days = sorted({r["day"] for r in answer.rows})
    arms = [a for a in arm_order([r["arm"] for r in answer.rows]) if a != CONTROL]
    names = [f"{day:%-d %b}" for day in days]
    panels, grids = [], []
    for metric, title in METRICS.items():
        lifts = {
            label_of(a): tuple(_number(cells.get((metric, a, day), {}).get("lift")) for day in days)
            for a in arms
        }
        if not any(key[0] == metric for key in cells) or not arms:
            continue
        words = f"Lift of {title.lower()} per day. " + "; ".join(
            f"{a}: {', '.join(percent(v) for v in values)}" for a, values in lifts.items()
        )
        plot = svg(daily(names, lifts), f"daily {metric}")
        panels.append(Panel(metric, title, plot, words, ()))
        rows = tuple((arm, 0, values) for arm, values in lifts.items())
        grids.append(Grid(title, tuple(names), rows))
    return [label_of(a) for a in arms], tuple(panels), tuple(grids)


def coverage_answer(database: Database, version: str) -> Answer:
    return ask(database, _COVERAGE, version=version)


def importances_answer(database: Database, date: dt.date, arm: str) -> Answer:
    return ask(database, _IMPORTANCES, date=date, arm=arm)


def metrics_answer(database: Database, date: dt.date) -> Answer:
    return ask(database, _METRICS, date=date)


def metrics_grid(answer: Answer) -> Grid:
    """Arms x ranking metrics."""
    cells = {(r["arm"], r["metric"]): r for r in answer.rows}
    columns = tuple(sorted({r["metric"] for r in answer.rows}, reverse=True))
    rows = tuple(
        (label_of(arm), max(r["n_requests"] for r in answer.rows if r["arm"] == arm),
         tuple(_number(cells.get((arm, c), {}).get("value")) for c in columns))
        for arm in arm_order([r["arm"] for r in answer.rows])
    )  # fmt: skip
    return Grid("Ranking metrics", columns, rows)


def counts_answer(database: Database) -> Answer:
    """Rows per table, with columns name and n."""
    names = [name for name in _COUNTED if name in METADATA.tables]
    return ask(
        database,
        "\nUNION ALL ".join(f"SELECT '{n}' AS name, COUNT(*) AS n FROM {n}" for n in names),
    )


def set_aside_answer(database: Database) -> Answer:
    return ask(database, _SET_ASIDE)


def _panel(metric: str, title: str, estimates: tuple[Estimate, ...], name: str) -> Panel:
    words = f"{title}, lift over {CONTROL} with 95% interval. " + "; ".join(
        f"{e.label}: {percent(e.lift)} ({percent(e.low)} to {percent(e.high)}), {e.reading}"
        for e in estimates
    )
    plot = svg(forest([e.interval for e in estimates], metric != "hide"), name)
    return Panel(metric, title, plot, words, estimates)


def _estimate(
    row: Row, label: str, wide: Row | None = None, adjusted: float = math.nan
) -> Estimate:
    lift, low, high = _span(row)
    return Estimate(
        label, lift, low, high, reading(low, high, row["metric"] != "hide"),
        _number(row.get("control")), _number(row.get("treatment")), _number(row.get("p_value")),
        adjusted, _number(row.get("effective_sample_size")), _span(wide or {}),
    )  # fmt: skip


def _span(row: Row) -> tuple[float, float, float]:
    return _number(row.get("lift")), _number(row.get("ci_low")), _number(row.get("ci_high"))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _segment_order(segment: str) -> tuple[int, str]:
    dimensions = ("query_has_object", "category", "platform")
    dimension = segment.partition("=")[0]
    known = dimensions.index(dimension) if dimension in dimensions else len(dimensions)
    return known, segment
