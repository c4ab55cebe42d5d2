"""What the arms' pages would be like, and the traffic as it was: figures of the report."""

import datetime as dt

from experiments.analysis import ARM_PAGE
from experiments.arms import AA, CONTROL
from experiments.metrics import HEALTH, METRICS
from experiments.report.answer import ask
from experiments.report.figures import Grid, arm_order, estimate_of, label_of, number_of
from experiments.wording import per_request
from sql.database import Database

_PAGES = """
    SELECT arm, metric, control, treatment, lift, ci_low, ci_high
    FROM experiment_lift
    WHERE date = :date AND segment = 'all' AND estimator = :estimator AND arm <> :twin
    ORDER BY arm, metric
"""
_TRAFFIC = """
    SELECT policy, metric, value, ci_low, ci_high, n_requests, n_users
    FROM traffic_metrics
    WHERE date = :date
    ORDER BY policy, metric
"""


def health_grid(database: Database, date: dt.date) -> Grid:
    """Arms x health metrics: the change of each over the control's pages."""
    answer = ask(database, _PAGES, date=date, estimator=ARM_PAGE, twin=AA)
    cells = {(r["arm"], r["metric"]): estimate_of(r, label_of(r["arm"])) for r in answer.rows}
    arms = arm_order([arm for arm, _ in cells])
    rows = tuple((label_of(arm), 0, tuple(cells.get((arm, m)) for m in HEALTH)) for arm in arms)
    control = {row["metric"]: row["control"] for row in answer.rows}
    note = "; ".join(
        f"{METRICS[m].title.lower()} of {CONTROL}: {per_request(number_of(control[m]))}"
        for m in HEALTH if m in control
    )  # fmt: skip
    titles = tuple(METRICS[metric].title for metric in HEALTH)
    return Grid("What the pages would be like", titles, rows, (answer,), note.capitalize())


def traffic_grid(database: Database, date: dt.date) -> Grid:
    """Metrics x policies: the value of each, with its interval."""
    answer = ask(database, _TRAFFIC, date=date)
    policies = tuple(dict.fromkeys(row["policy"] for row in answer.rows))
    cells = {
        (row["metric"], row["policy"]): f"{per_request(number_of(row['value']))} "
        f"[{per_request(number_of(row['ci_low']))}, {per_request(number_of(row['ci_high']))}]"
        for row in answer.rows
    }
    rows = tuple(
        (metric.title.removesuffix(" (fewer is better)"), 0,
         (metric.meaning, *(cells.get((name, policy)) for policy in policies)))
        for name, metric in METRICS.items() if any(key[0] == name for key in cells)
    )  # fmt: skip
    sizes = {row["policy"]: (row["n_requests"], row["n_users"]) for row in answer.rows}
    note = "; ".join(f"{p}: {r:,} requests of {u:,} users" for p, (r, u) in sizes.items())
    return Grid("The traffic as it was", ("Meaning", *policies), rows, (answer,), note)
