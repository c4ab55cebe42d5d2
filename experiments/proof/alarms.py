"""How often a live test raises a false alarm: by peeking, by many arms, by sample-ratio checks."""

from collections.abc import Iterator
from dataclasses import replace
from math import nan

import numpy as np

from experiments.checks import ALARM, stated_ratio
from experiments.estimators.rankings import Ints, Reals
from experiments.proof.conditions import REQUESTS_PER_USER, Outcome, Task
from experiments.proof.traffic import split
from experiments.proof.worlds import CONTROL, TREATMENT, draw_users
from experiments.statistics import sequential
from experiments.statistics.comparison import Comparison, ratios
from experiments.statistics.corrections import benjamini_hochberg, holm
from experiments.statistics.moments import Moments

LEVEL = 0.05
LOOKS = 10
FAMILY = 6  # treatments against one control


def peeking(task: Task) -> Iterator[Outcome]:
    """An A/B test of arms that are alike, looked at ten times while users come; value is 1 where
    any look says p < 0.05."""
    world, users, rng = task.draw()
    sums = split(world, users, task.n_requests, rng, (CONTROL, CONTROL))
    values = np.stack([sums.actions, sums.requests], axis=1)
    n_users = len(values)
    fixed, always = [], []
    for n in np.linspace(n_users / LOOKS, n_users, LOOKS).astype(int):
        found = _ratios(sums.arm[:n], values[:n])
        fixed.append(found.p_value)
        variance = n * found.standard_error**2
        always.append(float(sequential.p_value(found.effect, variance, n, tuned_for=n_users)))
    for name, value in (
        ("p-value, last look only", fixed[-1]),
        ("p-value, at every look", min(fixed)),
        ("always-valid p-value, at every look", min(always)),
    ):
        yield task.found(name, "any alarm", LEVEL, float(value < LEVEL))


def families(task: Task) -> Iterator[Outcome]:
    """Six treatments against one control, none or three of them with a lift: false rejections."""
    world, users, rng = task.draw()
    for n_true in (0, FAMILY // 2):
        arms = (CONTROL,) + (TREATMENT,) * n_true + (CONTROL,) * (FAMILY - n_true)
        sums = split(world, users, task.n_requests, rng, arms, (1 / len(arms),) * len(arms))
        values = np.stack([sums.actions, sums.requests], axis=1)
        raw = [_ratios(sums.arm, values, arm).p_value for arm in range(1, len(arms))]
        adjusted = {"none": raw, "Holm": holm(raw), "Benjamini-Hochberg": benjamini_hochberg(raw)}
        for name, p_values in adjusted.items():
            rejected = np.array(p_values) < LEVEL
            n_false, n_found = int(rejected[n_true:].sum()), int(rejected[:n_true].sum())
            which = f"{n_true} of {FAMILY} with a lift"
            for quantity, value in (
                ("any false", float(n_false > 0)),
                ("share false", n_false / max(n_false + n_found, 1)),
                ("share found", n_found / n_true if n_true else nan),
            ):
                yield replace(task.found(name, quantity, LEVEL, value), world=which)


def sample_ratios(task: Task) -> Iterator[Outcome]:
    """Whether the check of the stated 50 % fires; value is 1 where it does.

    Requests drawn one by one, or users drawn and then counted as users or by their requests.
    """
    rng = task.rng()
    for share in (0.5, 0.505, 0.51):
        n_first = int(rng.binomial(task.n_requests, share))
        yield _fired(task, "requests drawn, requests counted", share, n_first, task.n_requests)
        users = draw_users(task.condition.settings, task.n_requests // REQUESTS_PER_USER, rng)
        first = rng.random(len(users.taste)) < share
        requests = np.bincount(users.requests(task.n_requests, rng), minlength=len(first))
        came = requests > 0
        counted = int((first & came).sum()), int(came.sum())
        yield _fired(task, "users drawn, users counted", share, *counted)
        by_request = int(requests[first].sum())
        yield _fired(task, "users drawn, requests counted", share, by_request, task.n_requests)


def _fired(task: Task, name: str, share: float, n_first: int, n_all: int) -> Outcome:
    found = stated_ratio(n_first, n_all, 0.5)
    planted = f"{share:.1%} / {1 - share:.1%}"
    outcome = task.found(name, "fires", ALARM, float(not found.passed), p_value=found.value)
    return replace(outcome, world=planted)


def _ratios(arm: Ints, values: Reals, treatment: int = 1) -> Comparison:
    """Actions per request of an arm against those of arm 0; values (U, 2) of the users."""
    return ratios(Moments.of(values[arm == 0]), Moments.of(values[arm == treatment]))
