"""An experiment: a plan's arms against its control on the held-out requests, from SQL to SQL."""

import datetime as dt
import hashlib
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from experiments import checks
from experiments.analysis import Rows, analyse
from experiments.checks import Check
from experiments.estimators.examination import Examination, common_curve_p_value, measure
from experiments.held_out import HeldOut, read_by_position, read_held_out
from experiments.history import Run, code_version, past_runs, record, recorded
from experiments.plan import COLD_START, Plan
from experiments.traffic import traffic_rows
from experiments.verdict import ESTIMATOR, Verdict, verdict
from sql.database import Database, fingerprint
from sql.tables import (
    ACTIONS,
    arm_daily_engagement,
    experiment_checks,
    experiment_lift,
    traffic_metrics,
)

_INPUTS = (
    "SELECT policy, COUNT(*) AS n FROM requests WHERE date <= :date GROUP BY policy ORDER BY 1",
    "SELECT COUNT(*) AS n FROM impressions WHERE date <= :date",
    "SELECT COUNT(*) AS n FROM engagements WHERE date <= :date",
    "SELECT COUNT(*) AS n, SUM(n_objects) AS objects FROM pin_visuals "
    "WHERE feature_version = :version",
    "SELECT arm, COUNT(*) AS n FROM rankings WHERE date = :date GROUP BY arm ORDER BY arm",
)
_STATES = """
SELECT piece, fingerprint FROM manifest
WHERE step = 'ingest' AND (piece = 'pins: rows' OR piece LIKE 'requests/%'
    OR piece LIKE 'impressions/%' OR piece LIKE 'engagements/%')
    OR step = 'pair_features' AND piece = :version
ORDER BY piece
"""
_RANKINGS = """
SELECT arm, query_pin_id, candidate_pin_id, rank FROM rankings WHERE date = :date
ORDER BY arm, query_pin_id, candidate_pin_id
"""
_RATIO = """
SELECT {by}, SUM(CASE WHEN policy = 'random' THEN 1 ELSE 0 END) AS n_random, COUNT(*) AS n_requests
FROM requests WHERE date BETWEEN :first AND :last GROUP BY {by} ORDER BY {by}
"""


@dataclass(frozen=True)
class Setting:
    """What an experiment is run on: the last day, the features, the share of requests that was
    meant to be shown in random order (None where it is not known).
    """

    date: dt.date
    feature_version: str
    random_share: float | None = None


@dataclass(frozen=True)
class ArmLift:
    """The lift of an arm in a metric over all held-out requests, position-based, or None."""

    arm: str
    metric: str
    lift: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None


@dataclass(frozen=True)
class ExperimentSummary:
    """What an experiment found: lifts by arm in the primary metrics, failed checks, the verdict.

    `unchanged` is True where nothing had changed since the last time and nothing was written.
    """

    date: dt.date
    n_requests: int
    n_users: int
    lifts: tuple[ArmLift, ...]
    failed_checks: tuple[str, ...]
    verdict: Verdict
    unchanged: bool


def run_experiment(database: Database, plan: Plan, setting: Setting) -> ExperimentSummary:
    """Runs the plan of the daily job and writes what it finds, as the experiment of the date.

    Writes experiment_lift, arm_daily_engagement, experiment_checks and traffic_metrics of the date,
    and appends the run to the history. The held-out days are the last `plan.days` up to and
    including the date; nothing later is read. Run again on the same inputs, it changes nothing.
    Raises ValueError where the control or the treatment was not ranked.
    """
    mark = run_mark(database, plan, setting)
    if database.is_done("experiment", str(setting.date), mark):
        return summarise(database, plan, setting.date, unchanged=True)
    run, daily = carry_out(database, plan, setting, mark)
    first = setting.date - dt.timedelta(days=plan.days - 1)
    traffic = traffic_rows(database, first, setting.date, setting.feature_version)
    database.forget("experiment", str(setting.date))
    for table, rows in (
        (experiment_lift, run.lifts),
        (arm_daily_engagement, daily),
        (experiment_checks, run.checks),
        (traffic_metrics, traffic),
    ):
        days = [{"date": setting.date, **row} for row in rows]
        schema = pa.schema([("date", pa.date32())]) if not days else None
        database.replace(table, pa.Table.from_pylist(days, schema=schema), date=setting.date)
    record(database, run)
    database.mark_done(
        "experiment", str(setting.date), mark, len(run.lifts),
        feature_version=setting.feature_version,
    )  # fmt: skip
    return summarise(database, plan, setting.date, unchanged=False)


def run_plan(database: Database, plan: Plan, setting: Setting) -> Run:
    """Runs any plan and appends it to the history; the run, found there where it was run before.

    Raises ValueError where the control, the treatment or an arm of the plan was not ranked.
    """
    run, _ = carry_out(database, plan, setting, run_mark(database, plan, setting))
    record(database, run)
    return run


def run_cold_start(database: Database, setting: Setting, days: int) -> Run | None:
    """Runs `COLD_START` over the last `days` up to the date and appends it to the history, unless
    it is there; None where its arms were not ranked.
    """
    plan = replace(COLD_START, days=days)
    ranked = _read_input(database, _INPUTS[-1], setting.date, setting.feature_version)
    if not {plan.control, plan.treatment} <= {row["arm"] for row in ranked}:
        return None
    known = [row["run_id"] for row in past_runs(database)]
    mark = run_mark(database, plan, setting)
    return (
        recorded(database, mark[:12]) if mark[:12] in known else run_plan(database, plan, setting)
    )


def run_mark(database: Database, plan: Plan, setting: Setting) -> str:
    """Returns a hash of all that a run's numbers depend on: plan, code, logs, features, orders."""
    inputs = [
        _read_input(database, query, setting.date, setting.feature_version) for query in _INPUTS
    ]
    return fingerprint(
        asdict(plan), code_version(), setting.feature_version, setting.random_share, *inputs,
        _states(database, setting), _ranking_hash(database, setting.date),
    )  # fmt: skip


def carry_out(database: Database, plan: Plan, setting: Setting, mark: str) -> tuple[Run, Rows]:
    """Returns the run of a plan, and its rows of arms by day; writes nothing."""
    first = setting.date - dt.timedelta(days=plan.days - 1)
    ranked = _read_input(database, _INPUTS[-1], setting.date, setting.feature_version)
    arms = plan.compared(tuple(row["arm"] for row in ranked), setting.date)
    held_out = read_held_out(database, plan, setting.date, setting.feature_version, arms)
    if held_out.sample.actions.any():
        lifts, daily, found = _estimate(database, held_out, plan, first, setting.date)
    else:
        lifts, daily, found = [], [], [checks.random_requests(held_out.sample)]
    ratios = _sample_ratios(database, first, setting.date, setting.random_share)
    rows = [_check_row(check) for check in (*ratios, *found)]
    judged = verdict(lifts, rows, plan)
    return Run.of(mark, plan, setting.date, setting.feature_version, lifts, rows, judged), daily


def summarise(
    database: Database, plan: Plan, date: dt.date, *, unchanged: bool
) -> ExperimentSummary:
    """Returns the summary of the experiment of `date`, from what is written of it."""
    query = "SELECT * FROM {} WHERE date = :date"
    lifts = database.read(query.format("experiment_lift"), date=date).to_pylist()
    found = database.read(query.format("experiment_checks"), date=date).to_pylist()
    whole = [r for r in lifts if r["segment"] == "all" and r["estimator"] == ESTIMATOR]
    return ExperimentSummary(
        date=date,
        n_requests=max((row["n_requests"] for row in whole), default=0),
        n_users=max((row["n_users"] for row in whole), default=0),
        lifts=tuple(
            ArmLift(**{field: row[field] for field in ArmLift.__dataclass_fields__})
            for row in whole
            if row["metric"] in plan.primary
        ),
        failed_checks=tuple(check["name"] for check in found if not check["passed"]),
        verdict=verdict(lifts, found, plan),
        unchanged=unchanged,
    )


def _read_input(database: Database, query: str, date: dt.date, version: str) -> Rows:
    params = {"date": date, "version": version}
    wanted = {name: value for name, value in params.items() if f":{name}" in query}
    rows: Rows = database.read(query, **wanted).to_pylist()
    return rows


def _states(database: Database, setting: Setting) -> Rows:
    """What was ingested up to the date, and the features' inputs, as the manifest has them."""
    rows: Rows = database.read(_STATES, version=setting.feature_version).to_pylist()
    day = str(setting.date)
    return [row for row in rows if "/" not in row["piece"] or row["piece"].split("/")[1] <= day]


def _ranking_hash(database: Database, date: dt.date) -> str:
    digest = hashlib.sha256()
    for batch in database.batches(_RANKINGS, date=date):
        digest.update(batch.serialize())
    return digest.hexdigest()


def _estimate(
    database: Database, held_out: HeldOut, plan: Plan, first: dt.date, last: dt.date
) -> tuple[Rows, Rows, list[Check]]:
    examination, examined = _examination(database, plan, first, last)
    platforms = held_out.requests["platform"].to_numpy(str)
    theta = examination.of(platforms, int(held_out.sample.page.max()))
    lifts, daily, found = analyse(held_out, theta, plan)
    return lifts, daily, [*found, *examined]


def _sample_ratios(
    database: Database, first: dt.date, last: dt.date, random_share: float | None
) -> list[Check]:
    found, n_random, n_requests = [], 0, 0
    for by, column in (("day", "date"), ("platform", "platform")):
        rows = database.read(_RATIO.format(by=column), first=first, last=last).to_pylist()
        counts = {str(row[column]): (row["n_random"], row["n_requests"]) for row in rows}
        found.append(checks.sample_ratio(by, counts))
        n_random, n_requests = (sum(c) for c in zip(*counts.values(), strict=True))
    if random_share is not None:
        found.append(checks.stated_ratio(n_random, n_requests, random_share))
    return found


def _examination(
    database: Database, plan: Plan, first: dt.date, last: dt.date
) -> tuple[Examination, list[Check]]:
    """Examination before the held-out window; within it where nothing is known before."""
    most = plan.most_pages_a_day
    counts = read_by_position(database, dt.date.min, first - dt.timedelta(days=1), most)
    before = bool(counts["acted"].sum())
    if not before:
        counts = read_by_position(database, first, last, most)
    return measure(counts), [
        checks.examination_in_time(before, int(counts["shown"].sum())),
        checks.common_examination(
            common_curve_p_value(
                counts.groupby("position")["acted"].sum().to_numpy(float),
                counts.groupby("position")[list(ACTIONS)].sum().to_numpy(float),
            )
        ),
    ]


def _check_row(check: Check) -> dict[str, Any]:
    return {**asdict(check), "passed": int(check.passed)}
