"""What the report says in numbers: lift, overlap, days, coverage, importances, rows."""

import datetime as dt
from collections.abc import Mapping, Sequence

from experiments.arms import AA, ABLATIONS, COLD, CONTROL, LINEAR, PRIMARY
from experiments.plan import COLD_START
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
from experiments.report.plots import daily, svg
from experiments.verdict import ESTIMATOR, PRIMARY_METRIC, Verdict
from experiments.wording import number, percent
from sql.database import Database
from sql.tables import ENGAGEMENT_FEATURES, METADATA, PAIR_FEATURES, PAIR_INTEREST

MEANINGS = {
    **PAIR_FEATURES, **PAIR_INTEREST, **ENGAGEMENT_FEATURES,
    "source": "what proposed the candidate",
}  # fmt: skip
WIDE = "snips_item_position"
ESTIMATORS = {ESTIMATOR: "position-based", WIDE: "position by position"}

_JUDGED = """
    SELECT arm, metric, segment, estimator, n_requests, n_users, effective_sample_size,
           control, treatment, lift, ci_low, ci_high, p_value
    FROM experiment_lift
    WHERE date = :date AND segment = 'all'
    ORDER BY arm, metric, estimator
"""
_LIFT = """
    SELECT arm, metric, estimator, effective_sample_size,
           control, treatment, lift, ci_low, ci_high, p_value
    FROM experiment_lift
    WHERE date = :date AND segment = 'all' AND metric IN :metrics AND estimator IN :estimators
        AND arm NOT IN :left_out
    ORDER BY metric, arm, estimator
"""
_ABLATION = """
    SELECT arm, metric, lift, ci_low, ci_high
    FROM experiment_lift
    WHERE date = :date AND segment = 'all' AND estimator = :estimator AND arm IN :arms
    ORDER BY arm, metric
"""
_COLD_START = """
    SELECT r.arm, r.metric, r.lift, r.ci_low, r.ci_high
    FROM experiment_results AS r
    WHERE r.segment = 'all' AND r.estimator = :estimator AND r.run_id = (
        SELECT run_id FROM experiment_runs WHERE name = :plan AND date = :date
        ORDER BY made_at DESC LIMIT 1)
    ORDER BY r.arm, r.metric
"""
_OVERLAP = """
    SELECT l.arm, l.estimator, l.n_requests, l.n_users, l.effective_sample_size,
           c.value AS top_share
    FROM experiment_lift AS l
    LEFT JOIN experiment_checks AS c ON c.date = l.date AND c.name = 'overlap_top_share'
        AND l.arm = :primary AND l.estimator = :estimator
    WHERE l.date = :date AND l.segment = 'all' AND l.metric = :metric AND l.arm NOT IN :left_out
    ORDER BY l.arm, l.estimator
"""
_DAILY = """
    SELECT arm, metric, day, n_requests, value, lift
    FROM arm_daily_engagement
    WHERE date = :date AND metric = :metric AND arm NOT IN :left_out
    ORDER BY arm, day
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


def judged_answer(database: Database, date: dt.date) -> Answer:
    """The rows of experiment_lift over all held-out requests, which the verdict looks at.

    Raises ValueError where there was no experiment on the date.
    """
    answer = ask(database, _JUDGED, date=date)
    if not answer.rows:
        raise ValueError(
            f"There is no experiment of {date}: run related-pins experiment --date {date} first."
        )
    return answer


def lift_answer(database: Database, date: dt.date, metrics: Sequence[str]) -> Answer:
    """Both estimates of the metrics, without the arms that only see a part of the features."""
    return ask(
        database, _LIFT, date=date, metrics=list(metrics), estimators=list(ESTIMATORS),
        left_out=list(ABLATIONS),
    )  # fmt: skip


def estimates(rows: Sequence[Row], verdict: Verdict) -> dict[str, tuple[Estimate, ...]]:
    """The estimates of each metric, in the order of METRICS and of the arms.

    Where the verdict corrects a p-value for the arms and metrics that it compares, the corrected
    one decides whether a lift is read as better or worse.
    """
    by_key = {(r["metric"], r["estimator"], r["arm"]): r for r in rows}
    arms = arm_order([row["arm"] for row in rows])
    found = {
        metric: tuple(
            estimate_of(
                by_key[metric, ESTIMATOR, arm], label_of(arm), by_key.get((metric, WIDE, arm)),
                verdict.adjusted.get((arm, metric)),
            )
            for arm in arms if (metric, ESTIMATOR, arm) in by_key
        )
        for metric in METRICS
    }  # fmt: skip
    return {metric: some for metric, some in found.items() if some}


def lift_panels(answers: Mapping[str, Answer], verdict: Verdict) -> tuple[Panel, ...]:
    """One forest plot per metric that has estimates; answers: metric -> its rows."""
    return tuple(
        forest_panel(metric, METRICS[metric], found, (answer,), f"lift {metric}")
        for metric, answer in answers.items()
        for found in estimates(answer.rows, verdict).values()
    )


def lift_grid(answer: Answer, verdict: Verdict) -> Grid:
    """Arms x metrics."""
    found = estimates(answer.rows, verdict)
    cells = {(metric, e.label): e for metric, some in found.items() for e in some}
    arms = dict.fromkeys(label for _, label in cells)
    rows = tuple((arm, 0, tuple(cells.get((metric, arm)) for metric in found)) for arm in arms)
    titles = tuple(METRICS[metric] for metric in found)
    return Grid("Lift per arm and action", titles, rows, (answer,))


def ablation_grid(database: Database, date: dt.date) -> Grid:
    """Arms that see the control's features and a part of the others x metrics, the primary arm and
    the oracle below them; no rows where no such arm was judged.
    """
    shown = [*(arm for arm in ABLATIONS if arm not in COLD), PRIMARY, "oracle"]
    answer = ask(database, _ABLATION, date=date, estimator=ESTIMATOR, arms=shown)
    cells = {(r["arm"], r["metric"]): estimate_of(r, label_of(r["arm"])) for r in answer.rows}
    judged = [arm for arm in shown if any((arm, metric) in cells for metric in METRICS)]
    rows = tuple((label_of(a), 0, tuple(cells.get((a, m)) for m in METRICS)) for a in judged)
    title = "What each family of features gives"
    known = rows if set(judged) & set(ABLATIONS) else ()
    return Grid(title, tuple(METRICS.values()), known, (answer,))


def cold_start_grid(database: Database, date: dt.date) -> Grid:
    """What `COLD_START` found of the date x metrics, and below it the primary arm, which sees what
    people did before; no rows where it was not run.
    """
    cold = ask(database, _COLD_START, date=date, estimator=ESTIMATOR, plan=COLD_START.name)
    known = ask(database, _ABLATION, date=date, estimator=ESTIMATOR, arms=[PRIMARY])
    rows = tuple(
        (words, 0, tuple(
            next((estimate_of(r, words) for r in answer.rows if r["metric"] == metric), None)
            for metric in METRICS
        ))
        for words, answer in (
            (f"{COLD[1]} over {COLD[0]}", cold), (f"{PRIMARY} over {CONTROL}", known)
        )
    )  # fmt: skip
    title = "Where nobody has engaged yet"
    return Grid(title, tuple(METRICS.values()), rows if cold.rows else (), (cold, known))


def overlap_grid(database: Database, date: dt.date) -> Grid:
    """Arms x how much their estimates rest on: requests, users, effective impressions by each
    estimator, and the heaviest 1 % of the impressions' share of the weight, where it was measured.
    """
    answer = ask(
        database, _OVERLAP, date=date, metric=PRIMARY_METRIC, estimator=ESTIMATOR,
        primary=PRIMARY, left_out=list(ABLATIONS),
    )  # fmt: skip
    by_key = {(row["arm"], row["estimator"]): row for row in answer.rows}
    estimators = [name for name in ESTIMATORS if any(key[1] == name for key in by_key)]
    rows = []
    for arm in arm_order([arm for arm, _ in by_key]):
        mine: list[Row] = [by_key.get((arm, name), {}) for name in estimators]
        sizes = [number(row.get("effective_sample_size")) for row in mine]
        share = next((r["top_share"] for r in mine if r.get("top_share") is not None), None)
        counts = [number(max(row.get(n) or 0 for row in mine)) for n in ("n_requests", "n_users")]
        top = "n/a" if share is None else f"{share:.1%}"
        rows.append((label_of(arm), 0, (*counts, *sizes, top)))
    columns = (
        "Requests", "Users", *(f"Effective impressions, {ESTIMATORS[e]}" for e in estimators),
        "Weight on the heaviest 1%",
    )  # fmt: skip
    return Grid("What the estimates rest on", columns, tuple(rows), (answer,))


def daily_answers(database: Database, date: dt.date) -> dict[str, Answer]:
    """Per metric, the rows of arm_daily_engagement; metrics without rows are left out."""
    left_out = [AA, *LINEAR, *ABLATIONS]
    asked = {m: ask(database, _DAILY, date=date, metric=m, left_out=left_out) for m in METRICS}
    return {metric: answer for metric, answer in asked.items() if answer.rows}


def daily_figures(answers: Mapping[str, Answer]) -> tuple[list[str], list[tuple[Panel, Grid]]]:
    """(treatment arms in the order of their colours, per metric a plot and a grid of its days)."""
    known = [row for answer in answers.values() for row in answer.rows]
    days = sorted({row["day"] for row in known})
    arms = [arm for arm in arm_order([row["arm"] for row in known]) if arm != CONTROL]
    names = tuple(f"{day:%-d %b}" for day in days)
    found = []
    for metric, answer in answers.items() if arms else ():
        cells = {(row["arm"], row["day"]): row["lift"] for row in answer.rows}
        lifts = {label_of(a): tuple(number_of(cells.get((a, d))) for d in days) for a in arms}
        title = METRICS[metric]
        words = f"Lift of {title.lower()} per day. " + "; ".join(
            f"{a}: {', '.join(percent(v) for v in values)}" for a, values in lifts.items()
        )
        plot = svg(daily(names, lifts), f"daily {metric}")
        rows = tuple((arm, 0, values) for arm, values in lifts.items())
        panel = Panel(metric, title, plot, words, (), (answer,))
        found.append((panel, Grid(title, names, rows, (answer,))))
    return [label_of(arm) for arm in arms], found


def coverage_answer(database: Database, version: str) -> Answer:
    return ask(database, _COVERAGE, version=version)


def importances_answer(database: Database, date: dt.date, arm: str) -> Answer:
    return ask(database, _IMPORTANCES, date=date, arm=arm)


def counts_answer(database: Database) -> Answer:
    """Rows per table, with columns name and n."""
    names = [name for name in _COUNTED if name in METADATA.tables]
    return ask(
        database,
        "\nUNION ALL ".join(f"SELECT '{n}' AS name, COUNT(*) AS n FROM {n}" for n in names),
    )


def set_aside_answer(database: Database) -> Answer:
    return ask(database, _SET_ASIDE)
