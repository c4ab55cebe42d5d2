"""What a policy would have earned per request, from pages that another policy filled.

Three answers to what an action on a candidate may depend on: the whole page (standard), the
candidates down to its own position (reward interaction), itself and its position (independent).
The less it may depend on, the fewer ratios are multiplied and the smaller the variance; where the
assumption is wrong, the estimate is biased.

McInerney, Brost, Chandar, Mehrotra, Carterette: Counterfactual Evaluation of Slate Recommendations
with Sequential Reward Interactions, KDD 2020 (https://arxiv.org/abs/2007.12986).
"""

from dataclasses import dataclass

import numpy as np

from experiments.estimators.actions import importance_weights
from experiments.estimators.estimate import Estimate, clustered, numbers
from experiments.estimators.rankings import Ints, Reals
from experiments.estimators.support import NoSupport


@dataclass(frozen=True)
class Pages:
    """R requests, and the N candidates shown on them; rows in any order.

    user (R,): number of the request's user; request (N,): number of the row's request, 0..R-1;
    position (N,): from 1, once per request; reward (N,): any unit; target (N,), 0 to 1, and logged
    (N,), in (0, 1]: the probability, by the policy in question and by the logging policy, of the
    candidate at its position given those above it. For independent_ips both are the marginal
    probabilities of the candidate at its position.
    Raises ValueError on anything else, and where there is no row.
    """

    user: Ints
    request: Ints
    position: Ints
    reward: Reals
    target: Reals
    logged: Reals

    def __post_init__(self) -> None:
        numbers(
            request=self.request, position=self.position, reward=self.reward,
            weight=importance_weights(self.target, self.logged),
        )  # fmt: skip
        if self.request.min() < 0 or self.request.max() >= len(self.user):
            raise ValueError("Number the requests 0..R-1, with one user for each of the R.")
        if self.position.min() < 1:
            raise ValueError("Count positions from 1.")
        place = self.request * (int(self.position.max()) + 1) + self.position
        if len(np.unique(place)) < len(place):
            raise ValueError("Give one candidate per request and position; some have several.")


def standard_ips(pages: Pages) -> Estimate:
    """Returns the mean over requests of (product of the page's ratios) * (sum of its rewards).

    Assumes nothing about how candidates act on each other. The weight is that of the whole page, so
    it needs pages to be alike in both policies.
    """
    _, weight = _products(pages)
    return _per_request(weight * _per_page(pages, pages.reward), pages, weight)


def independent_ips(pages: Pages) -> Estimate:
    """Returns the mean over requests of the sum of ratio * reward, each position by itself.

    Assumes that an action depends on the request, the candidate and its position, not on the others
    (item-position: Li et al., KDD 2018, https://arxiv.org/abs/1804.10488).
    """
    weight = importance_weights(pages.target, pages.logged)
    return _per_request(_per_page(pages, weight * pages.reward), pages, weight)


def reward_interaction_ips(pages: Pages, self_normalised: bool = False) -> Estimate:
    """Returns the mean over requests of the sum of w reward, w the product of ratios down to it.

    Assumes that an action may depend on the candidates above, not on those below (RIPS). Self-
    normalised, as in the paper, position k gets w / (mean w over the n_k requests that have one):
    value = sum over k of n_k / R * sum of w reward / sum of w. Bias of order 1 / R, less variance.
    Raises NoSupport where, self-normalised, all weights of a position are 0.
    """
    weight, _ = _products(pages)
    if not self_normalised:
        return _per_request(_per_page(pages, weight * pages.reward), pages, weight)
    n_requests = len(pages.user)
    n_here = np.bincount(pages.position)
    total = np.bincount(pages.position, weight)
    if not total[n_here > 0].all():
        raise NoSupport(
            "At some position the policy shows nothing that was logged: log it, or shorten pages."
        )
    shown = np.where(n_here > 0, total, 1.0)
    mean = np.bincount(pages.position, weight * pages.reward) / shown
    value = float((n_here * mean).sum()) / n_requests
    scaled = weight * (n_here / shown)[pages.position]
    here = mean[pages.position]
    terms = _per_page(pages, here + scaled * (pages.reward - here))
    return clustered(terms - value, pages.user, value, weight)


def _products(pages: Pages) -> tuple[Reals, Reals]:
    """The product of the ratios down to each row (N,), and of each whole page (R,)."""
    ratio = importance_weights(pages.target, pages.logged)
    order = np.argsort(pages.position, kind="stable")
    ends = np.flatnonzero(np.diff(pages.position[order])) + 1
    down_to, page = np.empty(len(ratio)), np.ones(len(pages.user))
    with np.errstate(over="ignore"):
        for rows in np.split(order, ends):
            page[pages.request[rows]] *= ratio[rows]
            down_to[rows] = page[pages.request[rows]]
    (page,) = numbers(weight=page)
    return down_to, page


def _per_page(pages: Pages, column: Reals) -> Reals:
    return np.bincount(pages.request, column, minlength=len(pages.user)).astype(np.float64)


def _per_request(terms: Reals, pages: Pages, weight: Reals) -> Estimate:
    value = float(terms.mean())
    return clustered(terms - value, pages.user, value, weight)
