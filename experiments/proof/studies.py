"""The studies of the calibration: one drawn world each, and what was found against its truth."""

from collections.abc import Callable, Iterator
from math import nan

import numpy as np

from experiments.interleaving import preference
from experiments.proof.alarms import families, peeking, sample_ratios
from experiments.proof.clicks import PositionBased
from experiments.proof.conditions import Outcome, Task
from experiments.proof.logs import draw_log
from experiments.proof.offline import (
    bootstrapped,
    estimates,
    linearised,
    measured_examination,
    rankings,
)
from experiments.proof.traffic import UserSums, interleaved, split
from experiments.proof.worlds import CONTROL, TREATMENT, draw_users
from experiments.statistics import cuped
from experiments.statistics.comparison import Comparison, ratios
from experiments.statistics.moments import Moments


def intervals(task: Task) -> Iterator[Outcome]:
    """Offline lifts with their bootstrap intervals, and the value by every other estimator."""
    world, users, rng = task.draw()
    log = draw_log(world, users, task.n_requests, task.condition.sharpness, rng)
    theta = measured_examination(world, users, task.n_requests, rng)
    sums = rankings(log, theta)
    for name, found in bootstrapped(sums, task.seed).items():
        yield task.of_lift(name, world.lift(), found)
    name = "snips_position_based, delta method"
    yield task.of_lift(name, world.lift(), linearised(sums))
    if isinstance(world.settings.clicks, PositionBased):
        known = rankings(log, np.array(world.settings.clicks.examination))
        yield task.of_lift(f"{name}, examination known", world.lift(), linearised(known))
    for name, estimate in estimates(log, theta).items():
        yield task.found(
            name, "value", world.value(TREATMENT), estimate.value, (estimate.low, estimate.high),
            effective_sample_size=estimate.effective_sample_size,
        )  # fmt: skip


def errors(task: Task) -> Iterator[Outcome]:
    """Every estimator on two logs of one world, so that what both are wrong by is bias; quantity
    names the log. Of the treatment's value, and of its ratio to the control's by rankings.py."""
    world, users, rng = task.draw()
    truth, ratio = world.value(TREATMENT), 1.0 + world.lift()
    for quantity in ("first log", "second log"):
        users = draw_users(world.settings, len(users.taste), rng)
        log = draw_log(world, users, task.n_requests, task.condition.sharpness, rng)
        theta = measured_examination(world, users, task.n_requests, rng)
        sums = rankings(log, theta)
        for name in dict.fromkeys(name for name, _ in sums):
            treatment, control = (float(sums[name, arm].value()[0]) for arm in (TREATMENT, CONTROL))
            yield task.found(name, quantity, truth, treatment)
            lifted = treatment / control if control else nan
            yield task.found(f"{name}, treatment / control", quantity, ratio, lifted)
        for name, estimate in estimates(log, theta).items():
            yield task.found(name, quantity, truth, estimate.value)


def live(task: Task) -> Iterator[Outcome]:
    """A/B lift over users, plain and with CUPED; with novelty also against what is left of it."""
    world, users, rng = task.draw()
    sums = split(world, users, task.n_requests, rng)
    truths = {"lift": world.lift()}
    if world.settings.novelty:
        truths["lift that lasts"] = world.lift(np.inf)
    for quantity, truth in truths.items():
        for name, found in _compared(sums).items():
            yield task.of_lift(name, truth, found, quantity)


def sensitivity(task: Task) -> Iterator[Outcome]:
    """Whether the lift is seen at 5 %: interleaved, offline in random order, and by A/B."""
    world, users, rng = task.draw()
    credit, user = interleaved(world, users, task.n_requests, rng)
    found = preference(credit, user)
    yield task.found("interleaving", "preference", nan, found.value, p_value=found.p_value)
    sign = float(np.sign(found.n_second - found.n_first))
    yield task.found("interleaving, sign test", "preference", nan, sign, p_value=found.sign_p_value)
    log = draw_log(world, users, task.n_requests, 0.0, rng)
    theta = measured_examination(world, users, task.n_requests, rng)
    offline = linearised(rankings(log, theta))
    yield task.of_lift("snips_position_based", world.lift(), offline)
    for name, compared in _compared(split(world, users, task.n_requests, rng)).items():
        yield task.of_lift(name, world.lift(), compared)


def _compared(sums: UserSums) -> dict[str, Comparison]:
    control, treatment = sums.of(0), sums.of(1)
    return {
        "A/B": ratios(Moments.of(control[:, :2]), Moments.of(treatment[:, :2])),
        "A/B with CUPED": cuped.ratios(Moments.of(control), Moments.of(treatment)),
    }


STUDIES: dict[str, Callable[[Task], Iterator[Outcome]]] = {
    "intervals": intervals,
    "errors": errors,
    "live": live,
    "sensitivity": sensitivity,
    "peeking": peeking,
    "families": families,
    "sample ratio": sample_ratios,
}


def run(task: Task) -> list[Outcome]:
    """Returns the outcomes of a task."""
    return list(STUDIES[task.study](task))
