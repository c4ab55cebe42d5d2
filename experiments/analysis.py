"""From the held-out requests to lifts, days and checks: what an experiment computes."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from experiments import checks
from experiments.arms import AA, CONTROL
from experiments.checks import Check
from experiments.estimators.rankings import (
    Reals,
    Sample,
    Sums,
    effective_sample_size,
    item_position,
    item_position_weights,
    position_based,
    position_based_weights,
)
from experiments.held_out import HeldOut, segments
from experiments.metrics import HEALTH
from experiments.plan import Plan
from experiments.statistics.bootstrap import Replicates, lift, replicate
from experiments.statistics.delta import lift_standard_errors
from experiments.verdict import ESTIMATOR as POSITION_BASED
from sql.tables import ACTIONS

ITEM_POSITION = "snips_item_position"
ARM_PAGE = "arm_page"
MIN_EFFECTIVE = 100  # impressions; an estimate that rests on fewer is refused
METRICS_OF = {POSITION_BASED: ACTIONS, ITEM_POSITION: ACTIONS, ARM_PAGE: HEALTH}

Rows = list[dict[str, Any]]
AllSums = Mapping[tuple[str, str], Sums]
Estimates = Mapping[tuple[str, str], Replicates]


def analyse(held_out: HeldOut, theta: Reals, plan: Plan) -> tuple[Rows, Rows, list[Check]]:
    """Returns (rows of lifts, rows of days, checks); theta (R, K): examination of each request.

    Lifts: one row per arm, metric, segment and estimator; days: one per arm, day and metric. A lift
    without support, its weights worth under MIN_EFFECTIVE impressions, is not given: NaN.
    """
    lifts: Rows = []
    found: list[Check] = []
    for segment, requests in segments(held_out.requests, plan.segments).items():
        sample = held_out.sample.select(requests)
        pages = {arm: values[requests] for arm, values in held_out.health.items()}
        sums = all_sums(sample, theta[requests], pages)
        estimates = replicate(sums)
        lifts += _lift_rows(sample, theta[requests], plan.control, segment, sums, estimates)
        if segment == "all":
            found = _checks(held_out, theta, plan, sums, estimates)
    sizes = {
        (row["arm"], row["estimator"], row["segment"]): row["effective_sample_size"]
        for row in lifts if row["estimator"] != ARM_PAGE
    }  # fmt: skip
    refused = [key for key, size in sizes.items() if size < MIN_EFFECTIVE]
    found.append(checks.support(refused, len(sizes), MIN_EFFECTIVE))
    return lifts, _daily_rows(held_out, theta, plan.control), found


def all_sums(sample: Sample, theta: Reals, health: Mapping[str, Reals]) -> AllSums:
    """Returns the sums of every (arm, estimator); all of the same users, so that they pair.

    theta (R, K): examination of each request's positions; health: for each arm (R, 2), what is
    known of the page that it would show.
    """
    sums = {(arm, ITEM_POSITION): item_position(sample, arm) for arm in sample.ranks}
    sums |= {(arm, POSITION_BASED): position_based(sample, arm, theta) for arm in sample.ranks}
    return sums | {(arm, ARM_PAGE): page_means(sample, pages) for arm, pages in health.items()}


def page_means(sample: Sample, values: Reals) -> Sums:
    """Returns the sums of values known for every request, (R, A): their mean over requests."""
    n = np.bincount(sample.user, minlength=sample.n_users).astype(np.float64)
    columns = [np.bincount(sample.user, column, minlength=sample.n_users) for column in values.T]
    totals = np.stack(columns, axis=1, dtype=np.float64)
    return Sums(totals[:, None, :], n[:, None], n[:, None], n)


def _lift_rows(
    sample: Sample, theta: Reals, control: str, segment: str, sums: AllSums, estimates: Estimates
) -> Rows:
    rows = []
    for (arm, estimator), treatment in estimates.items():
        if arm == control:
            continue
        size = effective_sample_size(_weights(sample, theta, arm, estimator))
        errors = lift_standard_errors(sums[arm, estimator], sums[control, estimator])
        lifts = lift(treatment, estimates[control, estimator])
        for metric, found, error in zip(METRICS_OF[estimator], lifts, errors, strict=True):
            values = asdict(found) | {"standard_error": float(error)}
            values["ci_low"], values["ci_high"] = values.pop("low"), values.pop("high")
            if estimator != ARM_PAGE and size < MIN_EFFECTIVE:
                values = dict.fromkeys(values, math.nan)
            rows.append({
                "arm": arm, "metric": metric, "segment": segment, "estimator": estimator,
                "n_requests": sample.n_requests, "n_users": sample.n_users,
                "effective_sample_size": size, **values,
            })  # fmt: skip
    return rows


def _daily_rows(held_out: HeldOut, theta: Reals, control: str) -> Rows:
    rows = []
    days = held_out.requests["date"]
    for day in sorted(days.unique()):
        requests = (days == day).to_numpy(bool)
        sample = held_out.sample.select(requests)
        values = {arm: position_based(sample, arm, theta[requests]).value() for arm in sample.ranks}
        with np.errstate(invalid="ignore", divide="ignore"):
            lifts = {
                arm: np.where(values[control] > 0, value / values[control] - 1, np.nan)
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


def _checks(
    held_out: HeldOut, theta: Reals, plan: Plan, sums: AllSums, estimates: Estimates
) -> list[Check]:
    sample, arm, control = held_out.sample, plan.treatment, plan.control
    metric = ACTIONS.index(plan.primary[0])
    both = [(estimates[arm, how], estimates[control, how])
            for how in (POSITION_BASED, ITEM_POSITION)]  # fmt: skip
    error = lift_standard_errors(sums[arm, POSITION_BASED], sums[control, POSITION_BASED])[metric]
    found = [
        checks.random_requests(sample),
        checks.random_order(sample, control),
        checks.weights_average_one(sample, arm, theta),
        *checks.overlap(_weights(sample, theta, arm, POSITION_BASED), arm),
        checks.propensities(held_out.n_missing, held_out.n_impressions),
        checks.unranked(held_out.n_unranked, held_out.n_shown),
        checks.robots(held_out.n_robots, held_out.n_robot_requests, sample.n_requests),
        checks.heaviest_user(sample),
        checks.estimators_agree(both[0], both[1], metric, arm),
        checks.intervals_agree(lift(*both[0])[metric], error, arm),
    ]
    if AA in sample.ranks and control == CONTROL:
        twin = lift(estimates[AA, POSITION_BASED], estimates[CONTROL, POSITION_BASED])
        found.append(checks.a_a(dict(zip(ACTIONS, twin, strict=True))))
    return found


def _weights(sample: Sample, theta: Reals, arm: str, estimator: str) -> Reals:
    if estimator == ARM_PAGE:
        return np.ones(sample.n_requests)
    if estimator == ITEM_POSITION:
        return item_position_weights(sample.ranks[arm], sample.position, sample.propensity)
    rows = sample.request
    return position_based_weights(
        sample.ranks[arm], sample.page[rows], sample.propensity, theta[rows]
    )
