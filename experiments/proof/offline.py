"""Every offline estimator on one log of a world."""

from collections.abc import Callable
from dataclasses import replace
from math import nan

import numpy as np

from experiments.estimators import actions, examination, pages
from experiments.estimators.estimate import Estimate
from experiments.estimators.rankings import Bools, Ints, Reals, Sums, item_position, position_based
from experiments.estimators.support import NoSupport
from experiments.proof.logs import Log, draw_log
from experiments.proof.worlds import CONTROL, TREATMENT, Users, World
from experiments.statistics.bootstrap import Lift, lift, replicate
from experiments.statistics.comparison import Comparison, paired_ratios
from experiments.statistics.moments import Moments

CLIP = 10.0
PRIOR = 5.0  # impressions' worth of the average that the reward model adds to each pair
NOTHING = Estimate(nan, nan, nan, nan, 0, 0, 0.0)

Rankings = dict[tuple[str, str], Sums]


def measured_examination(
    world: World, users: Users, n_requests: int, rng: np.random.Generator
) -> Reals:
    """Returns the examination curve (K,) measured on as many other requests in random order."""
    log = draw_log(world, users, n_requests, 0.0, rng)
    acted = log.acted.sum(axis=0).astype(np.float64)
    return examination.curve(np.full(len(acted), float(n_requests)), acted)


def rankings(log: Log, theta: Reals) -> Rankings:
    """Returns the sums of both estimators of rankings.py, by (estimator, arm); theta (K,)."""
    sample = log.sample()
    curves = np.tile(theta, (sample.n_requests, 1))
    found: Rankings = {}
    for arm in (CONTROL, TREATMENT):
        found["snips_item_position", arm] = item_position(sample, arm)
        found["snips_position_based", arm] = position_based(sample, arm, curves)
    return found


def bootstrapped(sums: Rankings, seed: int) -> dict[str, Lift]:
    """Returns the lift of each estimator, with its interval by bootstrap over users."""
    found = replicate(sums, seed=seed)
    names = dict.fromkeys(name for name, _ in sums)
    return {name: lift(found[name, TREATMENT], found[name, CONTROL])[0] for name in names}


def linearised(sums: Rankings) -> Comparison:
    """Returns the lift of snips_position_based, with its interval by the delta method."""
    columns = []
    for arm in (CONTROL, TREATMENT):
        of_arm = sums["snips_position_based", arm]
        columns += [of_arm.numerator[:, 0, 0], of_arm.denominator[:, 0]]
    return paired_ratios(Moments.of(np.stack(columns, axis=1)))


def estimates(log: Log, theta: Reals) -> dict[str, Estimate]:
    """Returns what the treatment earns per request, by every estimator of actions.py and pages.py.

    Where the log holds nothing to estimate from, the Estimate is NaN. The reward model of
    direct_method and doubly_robust is theta (K,) times a rate per (query, candidate), fitted on the
    half of the users that a row's user is not in.
    """
    reward, target = log.acted.ravel().astype(np.float64), log.target(TREATMENT).ravel()
    logged, n_positions = log.marginal.ravel(), len(theta)
    user = np.repeat(log.user, n_positions)
    predicted, expected = _reward_model(log, theta)
    rows = reward, target, logged
    found = {
        "ips": actions.ips(*rows, user),
        "clipped_ips": actions.clipped_ips(*rows, user, CLIP),
        "snips": _supported(lambda: actions.snips(*rows, user)),
        "direct_method": actions.direct_method(expected, user),
        "doubly_robust": actions.doubly_robust(*rows, predicted, expected, user),
    }
    found = {name: _times(estimate, n_positions) for name, estimate in found.items()}
    whole = _pages(log)
    return found | {
        "standard_ips": pages.standard_ips(whole),
        "reward_interaction_ips": pages.reward_interaction_ips(whole),
        "reward_interaction_ips, self-normalised": _supported(
            lambda: pages.reward_interaction_ips(whole, self_normalised=True)
        ),
    }


def _pages(log: Log) -> pages.Pages:
    n_requests, n_positions = log.shown.shape
    return pages.Pages(
        user=log.user,
        request=np.repeat(np.arange(n_requests), n_positions),
        position=np.tile(np.arange(1, n_positions + 1), n_requests),
        reward=log.acted.ravel().astype(np.float64),
        target=log.target(TREATMENT).ravel(),
        logged=log.conditional.ravel(),
    )


def _reward_model(log: Log, theta: Reals) -> tuple[Reals, Reals]:
    """Predicted reward of each shown candidate, and expected of the treatment's; (N,) each."""
    n_candidates, n_positions = log.world.settings.n_candidates, len(theta)
    half = (log.user % 2)[:, None]
    n_cells = log.world.settings.n_queries * n_candidates
    cell = log.query[:, None] * n_candidates + log.shown
    seen = np.broadcast_to(theta, cell.shape)
    rate = np.stack([_rate(log.acted[h], seen[h], cell[h], n_cells) for h in _halves(half)])
    best = log.world.orders[TREATMENT][log.query, :n_positions]
    other = 1 - half
    predicted = theta * rate[other, cell]
    expected = theta * rate[other, log.query[:, None] * n_candidates + best]
    return predicted.ravel(), expected.ravel()


def _halves(half: Ints) -> list[Ints]:
    return [np.flatnonzero(half[:, 0] == which) for which in (0, 1)]


def _rate(acted: Bools, seen: Reals, cell: Ints, n_cells: int) -> Reals:
    """Actions per examined impression of each cell, drawn towards the average; (n_cells,)."""
    total = np.bincount(cell.ravel(), acted.ravel(), n_cells)
    shown = np.bincount(cell.ravel(), seen.ravel(), n_cells)
    average = total.sum() / max(shown.sum(), 1.0)
    return np.asarray((total + PRIOR * average) / (shown + PRIOR))


def _times(estimate: Estimate, n_positions: int) -> Estimate:
    """From actions per impression to actions per request."""
    found = {
        name: getattr(estimate, name) * n_positions
        for name in ("value", "standard_error", "low", "high")
    }
    return replace(estimate, **found)


def _supported(estimator: Callable[[], Estimate]) -> Estimate:
    try:
        return estimator()
    except NoSupport:
        return NOTHING
