"""The experiment of a day: every arm's ranking against the control's, on the held-out requests."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from experiments import checks
from experiments.arms import AA, CONTROL, PRIMARY
from experiments.checks import Check
from experiments.estimators.examination import Examination, common_curve_p_value, measure
from experiments.estimators.rankings import (
    Reals,
    Sample,
    effective_sample_size,
    item_position,
    item_position_weights,
    position_based,
    position_based_weights,
)
from experiments.held_out import HeldOut, read_by_position, read_held_out, segments
from experiments.statistics.bootstrap import Replicates, lift, replicate
from experiments.verdict import PRIMARY_METRICS, Verdict, verdict
from sql.database import Database, fingerprint
from sql.tables import ACTIONS, arm_daily_engagement, experiment_checks, experiment_lift

ITEM_POSITION = "snips_item_position"
POSITION_BASED = "snips_position_based"
STATISTICS_VERSION = 1  # raise it when the same inputs would give other numbers

Rows = list[dict[str, Any]]
Estimates = Mapping[tuple[str, str], Replicates]

_INPUTS = (
    "SELECT policy, COUNT(*) AS n FROM requests WHERE date <= :date GROUP BY policy ORDER BY 1",
    "SELECT COUNT(*) AS n FROM impressions WHERE date <= :date",
    "SELECT COUNT(*) AS n FROM engagements WHERE date <= :date",
    "SELECT COUNT(*) AS n, SUM(n_objects) AS objects FROM pin_visuals "
    "WHERE feature_version = :version",
    "SELECT arm, COUNT(*) AS n FROM rankings WHERE date = :date GROUP BY arm ORDER BY arm",
)
_RANKINGS = """
SELECT arm, query_pin_id, candidate_pin_id, rank FROM rankings WHERE date = :date
ORDER BY arm, query_pin_id, candidate_pin_id
"""
_RATIO = """
SELECT {by}, SUM(CASE WHEN policy = 'random' THEN 1 ELSE 0 END) AS n_random, COUNT(*) AS n_requests
FROM requests WHERE date BETWEEN :first AND :last GROUP BY {by} ORDER BY {by}
"""


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
    """What an experiment found: lifts of saves and clicks by arm, failed checks, the verdict.

    `unchanged` is True where nothing had changed since the last time and nothing was written.
    """

    date: date
    n_requests: int
    n_users: int
    lifts: tuple[ArmLift, ...]
    failed_checks: tuple[str, ...]
    verdict: Verdict
    unchanged: bool


def run_experiment(
    database: Database,
    date: date,
    holdout_days: int = 4,
    *,
    feature_version: str,
    random_share: float | None = None,
) -> ExperimentSummary:
    """Compares every arm ranked on `date` with whole_image on the held-out days, and writes it.

    Writes experiment_lift, arm_daily_engagement and experiment_checks of `date`. The held-out days
    are the last `holdout_days` up to and including `date`; nothing later is read. `random_share` is
    the share of requests that was meant to be shown in random order, where it is known. Run again
    on the same inputs, it changes nothing. Raises ValueError where the control was not ranked.
    """
    inputs = [_read_input(database, query, date, feature_version) for query in _INPUTS]
    arms = [row["arm"] for row in inputs[-1]]
    if CONTROL not in arms:
        raise ValueError(f"{CONTROL} has no ranking of {date}: rank that day's candidates first.")
    settings = (STATISTICS_VERSION, holdout_days, feature_version, random_share)
    mark = fingerprint(*settings, *inputs, _ranking_hash(database, date))
    if database.is_done("experiment", str(date), mark):
        return summarise(database, date, unchanged=True)
    held_out = read_held_out(database, date, holdout_days, feature_version, arms)
    first = date - timedelta(days=holdout_days - 1)
    ratios = _sample_ratios(database, first, date, random_share)
    if held_out.sample.actions.any():
        lifts, daily, found = _analyse(database, held_out, first, date)
    else:
        lifts, daily, found = [], [], [checks.random_requests(held_out.sample)]
    for table, rows in (
        (experiment_lift, lifts),
        (arm_daily_engagement, daily),
        (experiment_checks, [_check_row(check) for check in (*ratios, *found)]),
    ):
        days = [{"date": date, **row} for row in rows]
        schema = pa.schema([("date", pa.date32())]) if not days else None
        database.replace(table, pa.Table.from_pylist(days, schema=schema), date=date)
    database.mark_done("experiment", str(date), mark, len(lifts), feature_version=feature_version)
    return summarise(database, date, unchanged=False)


def summarise(database: Database, date: date, *, unchanged: bool) -> ExperimentSummary:
    """Returns the summary of the experiment of `date`, from what is written of it."""
    query = "SELECT * FROM {} WHERE date = :date"
    lifts = database.read(query.format("experiment_lift"), date=date).to_pylist()
    found = database.read(query.format("experiment_checks"), date=date).to_pylist()
    whole = [r for r in lifts if r["segment"] == "all" and r["estimator"] == POSITION_BASED]
    return ExperimentSummary(
        date=date,
        n_requests=max((row["n_requests"] for row in whole), default=0),
        n_users=max((row["n_users"] for row in whole), default=0),
        lifts=tuple(
            ArmLift(**{field: row[field] for field in ArmLift.__dataclass_fields__})
            for row in whole
            if row["metric"] in PRIMARY_METRICS
        ),
        failed_checks=tuple(check["name"] for check in found if not check["passed"]),
        verdict=verdict(lifts, found),
        unchanged=unchanged,
    )


def _read_input(database: Database, query: str, date: date, version: str) -> Rows:
    params = {"date": date, "version": version}
    wanted = {name: value for name, value in params.items() if f":{name}" in query}
    rows: Rows = database.read(query, **wanted).to_pylist()
    return rows


def _ranking_hash(database: Database, date: date) -> str:
    digest = hashlib.sha256()
    for batch in database.batches(_RANKINGS, date=date):
        digest.update(batch.serialize())
    return digest.hexdigest()


def _analyse(
    database: Database, held_out: HeldOut, first: date, last: date
) -> tuple[Rows, Rows, list[Check]]:
    examination, examined = _examination(database, first, last)
    theta = examination.of(
        held_out.requests["platform"].to_numpy(str), int(held_out.sample.page.max())
    )
    lifts: Rows = []
    found: list[Check] = examined
    for segment, requests in segments(held_out.requests).items():
        sample = held_out.sample.select(requests)
        estimates = estimate(sample, theta[requests])
        lifts += _lift_rows(sample, theta[requests], segment, estimates)
        if segment == "all":
            found = [*_checks(held_out, theta, estimates), *examined]
    return lifts, _daily_rows(held_out, theta), found


def estimate(sample: Sample, theta: Reals) -> Estimates:
    """Returns actions per request by (arm, estimator), with replicates paired between all.

    theta (R, K): examination of each request's positions.
    """
    sums = {(arm, ITEM_POSITION): item_position(sample, arm) for arm in sample.ranks}
    sums |= {(arm, POSITION_BASED): position_based(sample, arm, theta) for arm in sample.ranks}
    return replicate(sums)


def _lift_rows(sample: Sample, theta: Reals, segment: str, estimates: Estimates) -> Rows:
    rows = []
    for (arm, estimator), treatment in estimates.items():
        if arm == CONTROL:
            continue
        size = effective_sample_size(_weights(sample, theta, arm, estimator))
        lifts = lift(treatment, estimates[CONTROL, estimator])
        for metric, found in zip(ACTIONS, lifts, strict=True):
            values = asdict(found)
            values["ci_low"], values["ci_high"] = values.pop("low"), values.pop("high")
            rows.append({
                "arm": arm, "metric": metric, "segment": segment, "estimator": estimator,
                "n_requests": sample.n_requests, "n_users": sample.n_users,
                "effective_sample_size": size, **values,
            })  # fmt: skip
    return rows


def _daily_rows(held_out: HeldOut, theta: Reals) -> Rows:
    rows = []
    days = held_out.requests["date"]
    for day in sorted(days.unique()):
        requests = (days == day).to_numpy(bool)
        sample = held_out.sample.select(requests)
        values = {arm: position_based(sample, arm, theta[requests]).value() for arm in sample.ranks}
        with np.errstate(invalid="ignore", divide="ignore"):
            lifts = {
                arm: np.where(values[CONTROL] > 0, value / values[CONTROL] - 1, np.nan)
                for arm, value in values.items()
            }
        rows += [
            {
                "arm": arm, "day": day, "metric": metric, "n_requests": sample.n_requests,
                "value": float(values[arm][a]), "lift": float(lifts[arm][a]),
            }
            for arm in values
            for a, metric in enumerate(ACTIONS)
        ]  # fmt: skip
    return rows


def _checks(held_out: HeldOut, theta: Reals, estimates: Estimates) -> list[Check]:
    sample = held_out.sample
    arm = PRIMARY if PRIMARY in sample.ranks else CONTROL
    found = [
        checks.random_requests(sample),
        checks.random_order(sample, CONTROL),
        checks.weights_average_one(sample, arm, theta),
        *checks.overlap(_weights(sample, theta, arm, POSITION_BASED), arm),
        checks.propensities(held_out.n_missing, held_out.n_impressions),
        checks.unranked(held_out.n_unranked, held_out.n_shown),
        checks.heaviest_user(sample),
    ]
    if arm != CONTROL:
        pairs = [
            (estimates[arm, how], estimates[CONTROL, how])
            for how in (POSITION_BASED, ITEM_POSITION)
        ]
        found.append(checks.estimators_agree(pairs[0], pairs[1], ACTIONS.index("save"), arm))
    if AA in sample.ranks:
        twin = lift(estimates[AA, POSITION_BASED], estimates[CONTROL, POSITION_BASED])
        found.append(checks.a_a(dict(zip(ACTIONS, twin, strict=True))))
    return found


def _sample_ratios(
    database: Database, first: date, last: date, random_share: float | None
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


def _examination(database: Database, first: date, last: date) -> tuple[Examination, list[Check]]:
    """Examination before the held-out window; within it where nothing is known before."""
    counts = read_by_position(database, date.min, first - timedelta(days=1))
    before = bool(counts["acted"].sum())
    if not before:
        counts = read_by_position(database, first, last)
    return measure(counts), [
        checks.examination_in_time(before, int(counts["shown"].sum())),
        checks.common_examination(
            common_curve_p_value(
                counts.groupby("position")["acted"].sum().to_numpy(float),
                counts.groupby("position")[list(ACTIONS)].sum().to_numpy(float),
            )
        ),
    ]


def _weights(sample: Sample, theta: Reals, arm: str, estimator: str) -> Reals:
    if estimator == ITEM_POSITION:
        return item_position_weights(sample.ranks[arm], sample.position, sample.propensity)
    rows = sample.request
    return position_based_weights(
        sample.ranks[arm], sample.page[rows], sample.propensity, theta[rows]
    )


def _check_row(check: Check) -> dict[str, Any]:
    return {**asdict(check), "passed": int(check.passed)}
