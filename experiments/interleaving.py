"""Interleaving: both rankings on one page, and whose pins people act on.

Team-draft: Radlinski, Kurup, Joachims: How Does Clickthrough Data Reflect Retrieval Quality?, CIKM
2008. Each person compares the rankings on the same page, so people's differences cancel and far
fewer requests are needed than where each sees one ranking. It says which ranking is preferred, not
how many more actions per request it earns.
"""

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from scipy.stats import binomtest, t

from experiments.estimators.rankings import Bools, Ints, Reals

CONFIDENCE = 0.95


def team_draft(first: Ints, second: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Returns (order, team), (R, K) each: the interleaved pages, and who put each pin there.

    first and second (R, K): the K pins that each ranking would show on each of R pages, from
    position 1 down, as integers; team is 0 for the first ranking and 1 for the second. The ranking
    with fewer pins so far puts its best pin not yet shown; a fair coin decides between equals.
    Raises ValueError where the shapes differ or a ranking shows a pin twice.

    >>> same = np.array([[7, 8, 9]])
    >>> order, team = team_draft(same, same, np.random.default_rng(0))
    >>> order.tolist(), sorted(team[0, :2].tolist())
    ([[7, 8, 9]], [0, 1])
    """
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"Give two rankings of one shape (R, K), not {first.shape, second.shape}.")
    both = np.stack([first, second])  # (2, R, K)
    if (np.diff(np.sort(both, axis=2), axis=2) == 0).any():
        raise ValueError("Give rankings that show every pin once a page.")
    rows, n_positions = np.arange(len(first)), first.shape[1]
    order, team = np.empty_like(first), np.empty(first.shape, dtype=np.int64)
    taken = np.zeros(both.shape, dtype=np.bool_)
    for k in range(n_positions):
        lead = team[:, :k].sum(axis=1) * 2 - k  # pins of the second ranking less those of the first
        picks = np.where(lead == 0, rng.integers(2, size=len(first)), lead < 0).astype(np.int64)
        best = np.argmin(taken[picks, rows], axis=1)
        order[:, k], team[:, k] = both[picks, rows, best], picks
        taken |= both == order[None, :, k, None]
    return order, team


def credit(acted: Bools | Reals, team: Ints) -> Reals:
    """Returns actions on the second ranking's pins less those on the first's, per request (R,).

    >>> credit(np.array([[1, 0, 1], [1, 0, 0]]), np.array([[1, 0, 1], [0, 1, 0]])).tolist()
    [2.0, -1.0]
    """
    return np.asarray(np.sum(acted * np.where(team == 1, 1.0, -1.0), axis=1))


@dataclass(frozen=True)
class Preference:
    """Which ranking people prefer.

    value: mean credit per request, above 0 where the second ranking is preferred; low and high end
    its 95 % interval, clustered by user; p_value: two-sided, of no preference, by the same t
    distribution with n_users - 1 degrees of freedom. n_first and n_second: users whose summed
    credit favours each; sign_p_value: of the two being equally common (exact binomial test, ties
    left out).
    """

    value: float
    low: float
    high: float
    p_value: float
    n_users: int
    n_first: int
    n_second: int
    sign_p_value: float


def preference(credit: Reals, user: Ints) -> Preference:
    """Returns the Preference of R requests: credit (R,), user (R,), any integers.

    With a single user, low, high and p_value are NaN; with no credit anywhere they are 0, 0 and 1.
    Raises ValueError where there is no request or the lengths differ.

    >>> found = preference(np.array([1.0, 1.0, -1.0, 0.0]), np.array([5, 6, 7, 7]))
    >>> found.value, found.n_first, found.n_second, found.sign_p_value
    (0.25, 1, 2, 1.0)
    """
    if not len(credit) or len(credit) != len(user):
        raise ValueError("Give at least one request, and one user for each.")
    _, cluster = np.unique(user, return_inverse=True)
    totals = np.bincount(cluster, credit)
    n_users, value = len(totals), float(np.mean(credit))
    residual = totals - value * np.bincount(cluster)
    low = high = p_value = nan
    if n_users > 1:
        squares = n_users / (n_users - 1) * float(np.square(residual).sum())
        error = sqrt(squares) / len(credit)
        half = error * float(t.ppf((1 + CONFIDENCE) / 2, n_users - 1))
        low, high = value - half, value + half
        p_value = float(2 * t.sf(abs(value) / error, n_users - 1)) if error else float(value == 0)
    n_first, n_second = int((totals < 0).sum()), int((totals > 0).sum())
    sign = float(binomtest(n_second, n_first + n_second).pvalue) if n_first + n_second else 1.0
    return Preference(value, low, high, p_value, n_users, n_first, n_second, sign)
