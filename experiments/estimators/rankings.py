"""What a ranking would have earned, from requests that were shown in random order.

Both estimators are from Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay, Wen: Offline Evaluation
of Ranking Policies with Click Models, KDD 2018 (https://arxiv.org/abs/1804.10488), item-position
and position-based, here self-normalised (Swaminathan and Joachims, The Self-Normalized Estimator
for Counterfactual Learning, NIPS 2015). docs/experiments.md derives the formulas.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sample:
    """R requests of U users in random order, and the N candidates shown on them.

    user (R,): number of the request's user, 0..U-1; page (R,): positions on the request's page;
    request (N,): number of the row's request, 0..R-1; position (N,): from 1; propensity (N,): in
    (0, 1]; actions (N, A): 0 or 1; ranks: for each arm (N,), the place from 1 that the arm would
    give the candidate, 0 where it has none for it.
    """

    user: Ints
    page: Ints
    request: Ints
    position: Ints
    propensity: Reals
    actions: Reals
    ranks: Mapping[str, Ints]

    @property
    def n_requests(self) -> int:
        return len(self.user)

    @property
    def n_users(self) -> int:
        return int(self.user.max()) + 1 if len(self.user) else 0

    def select(self, requests: Bools) -> "Sample":
        """Returns the sample of the requests (R,) that are marked, users numbered anew."""
        rows = requests[self.request]
        numbers = np.cumsum(requests) - 1
        _, user = np.unique(self.user[requests], return_inverse=True)
        ranks = {arm: rank[rows] for arm, rank in self.ranks.items()}
        return Sample(
            user.astype(np.int64), self.page[requests], numbers[self.request[rows]],
            self.position[rows], self.propensity[rows], self.actions[rows], ranks,
        )  # fmt: skip


@dataclass(frozen=True)
class Sums:
    """Sums per user of all that an estimate needs; S strata (positions, or one), A actions.

    numerator (U, S, A): weighted actions; denominator (U, S): what the weights add up to in their
    place; scale (U, S): what one request's denominator is on average, summed over requests;
    requests (U,): number of requests. Sums of users are sums of the arrays.
    """

    numerator: Reals
    denominator: Reals
    scale: Reals
    requests: Reals

    def value(self) -> Reals:
        """Returns actions per request, (A,) float64; NaN where there are no requests."""
        numerator, denominator, scale, requests = (
            x.sum(axis=0) for x in (self.numerator, self.denominator, self.scale, self.requests)
        )
        return ratio_value(numerator, denominator, scale, requests)


def ratio_value(numerator: Any, denominator: Any, scale: Any, requests: Any) -> Reals:
    """Returns sum over strata of scale / requests * numerator / denominator, (..., A) float64.

    Shapes (..., S, A), (..., S), (..., S) and (...). A stratum nobody was shown counts as no
    action; without requests the value is NaN.

    >>> ratio_value([[3.0]], [10.0], [20.0], 4.0)
    array([1.5])
    """
    numerator, denominator, scale, requests = map(
        np.asarray, (numerator, denominator, scale, requests)
    )
    shown = np.where(denominator > 0, denominator, np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = scale / requests[..., None] / shown
    value: Reals = np.einsum("...sa,...s->...a", numerator, share)
    return value


def item_position_weights(rank: Ints, position: Ints, propensity: Reals) -> Reals:
    """Returns 1[rank = position] / propensity, (N,) float64.

    >>> item_position_weights(np.array([2, 1]), np.array([2, 2]), np.array([0.25, 0.25])).tolist()
    [4.0, 0.0]
    """
    return np.where(rank == position, 1.0 / propensity, 0.0)


def position_based_weights(rank: Ints, page: Ints, propensity: Reals, examination: Reals) -> Reals:
    """Returns theta_rank / (propensity Theta) where 1 <= rank <= page, else 0; (N,) float64.

    examination (N, K) is each row's curve theta over positions 1..K, with K at least the longest
    page; Theta is its sum over the row's page (N,).

    >>> theta = np.array([[1.0, 0.5, 0.5]])
    >>> position_based_weights(np.array([2]), np.array([3]), np.array([0.1]), theta).tolist()
    [2.5]
    """
    kept = (rank >= 1) & (rank <= page)
    seen = examination[np.arange(len(rank)), np.where(kept, rank, 1) - 1]
    return np.where(kept, seen / (propensity * page_examination(page, examination)), 0.0)


def item_position(sample: Sample, arm: str) -> Sums:
    """Returns the sums of SNIPS position by position: one stratum per position of the page.

    value = sum over k of n_k / n * [sum w r / sum w over rows at position k], with w = 1[rank = k]
    / propensity and n_k of the n requests having a position k. Assumes only that an action on a
    candidate depends on the request, the candidate and its position, not on the pins around it.
    """
    weight = item_position_weights(sample.ranks[arm], sample.position, sample.propensity)
    n_positions = int(sample.page.max(initial=1))
    n_users, n_actions = sample.n_users, sample.actions.shape[1]
    hit = np.flatnonzero(weight)
    cell = sample.user[sample.request[hit]] * n_positions + sample.position[hit] - 1
    n_cells = n_users * n_positions
    reaches = (np.arange(1, n_positions + 1) <= sample.page[:, None]).astype(np.float64)
    return Sums(
        _by_cell(cell, weight[hit, None] * sample.actions[hit], n_cells).reshape(
            n_users, n_positions, n_actions
        ),
        _by_cell(cell, weight[hit, None], n_cells).reshape(n_users, n_positions),
        _by_cell(sample.user, reaches, n_users),
        np.bincount(sample.user, minlength=n_users).astype(np.float64),
    )


def position_based(sample: Sample, arm: str, examination: Reals) -> Sums:
    """Returns the sums of position-based SNIPS: one stratum; examination is (R, K) per request.

    value = mean Theta * [sum w r / sum w theta_position], with w = theta_rank 1[rank <= page] /
    (propensity Theta) and Theta = theta_1 + ... + theta_page of the request. Assumes the
    position-based model (an action needs the position to be examined, whatever the candidate) and
    that a candidate was as likely at one position as at another, with the propensity logged.
    """
    per_row = examination[sample.request]
    rows = np.arange(len(per_row))
    weight = position_based_weights(
        sample.ranks[arm], sample.page[sample.request], sample.propensity, per_row
    )
    theta = per_row[rows, sample.position - 1]
    user = sample.user[sample.request]
    return Sums(
        _by_cell(user, weight[:, None] * sample.actions, sample.n_users)[:, None, :],
        _by_cell(user, (weight * theta)[:, None], sample.n_users),
        _by_cell(sample.user, page_examination(sample.page, examination)[:, None], sample.n_users),
        np.bincount(sample.user, minlength=sample.n_users).astype(np.float64),
    )


def page_examination(page: Ints, examination: Reals) -> Reals:
    """Returns Theta, (R,) float64: the examination (R, K) of each row summed over its page (R,).

    >>> page_examination(np.array([2]), np.array([[1.0, 0.5, 0.25]])).tolist()
    [1.5]
    """
    on_page = np.arange(1, examination.shape[1] + 1) <= page[:, None]
    total: Reals = np.where(on_page, examination, 0.0).sum(axis=1)
    return total


def effective_sample_size(weights: Reals) -> float:
    """Returns (sum w)^2 / sum w^2 (Kish 1965): equally weighted rows worth as much; 0 without any.

    >>> effective_sample_size(np.array([1.0, 1.0, 0.0, 0.0]))
    2.0
    """
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def top_share(weights: Reals, share: float = 0.01) -> float:
    """Returns the part of the total weight that the heaviest `share` of the rows carry, 0 to 1.

    >>> top_share(np.array([6.0, 1.0, 1.0, 2.0]), 0.25)
    0.6
    """
    total = float(weights.sum())
    if not total:
        return 0.0
    n_top = max(1, round(share * len(weights)))
    return float(np.partition(weights, -n_top)[-n_top:].sum()) / total


def _by_cell(cell: Ints, columns: Reals, n_cells: int) -> Reals:
    """Returns the columns (N, C) summed by cell (N,) into (n_cells, C)."""
    sums = [np.bincount(cell, column, minlength=n_cells) for column in columns.T]
    return np.stack(sums, axis=1).astype(np.float64)
