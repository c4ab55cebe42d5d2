"""The logging policy of a world: Plackett-Luce, with exact propensities.

Candidates are drawn for positions 1, 2, ... without replacement, each with probability proportional
to its weight exp(sharpness * score). Sharpness 0 is random order.
"""

import numpy as np

from experiments.estimators.rankings import Ints, Reals


def weights(scores: Reals, sharpness: float) -> Reals:
    """Returns exp(sharpness * score), scores (Q, C) standardised in each row; 1 for the highest.

    Raises ValueError where a weight is too small to be told from 0.
    """
    spread = scores.std(axis=1, keepdims=True)
    standard = (scores - scores.max(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    found = np.exp(sharpness * standard)
    if found.min() < 1e-12:
        raise ValueError(f"Lower the sharpness {sharpness}: some candidates would never be shown.")
    return np.asarray(found)


def pages(weights: Reals, n_positions: int, rng: np.random.Generator) -> Ints:
    """Returns one page (R, K) of candidates' columns per row of weights (R, C).

    Gumbel-top-k trick: Kool, van Hoof, Welling, ICML 2019, https://arxiv.org/abs/1903.06059
    """
    keys = np.log(weights) + rng.gumbel(size=weights.shape)
    return np.argsort(-keys, axis=1)[:, :n_positions]


def marginal(weights: Reals, n_positions: int) -> Reals:
    """Returns the probability of each candidate at each position, (Q, C, K), of weights (Q, C).

    Exact, by dynamic programming over the sets of candidates that may fill the positions above:
    2^C sets at most, so meant for up to about 12 candidates.

    >>> marginal(np.array([[2.0, 1.0, 1.0]]), 2)[0].round(3).tolist()
    [[0.5, 0.333], [0.25, 0.333], [0.25, 0.333]]
    """
    n_queries, n_candidates = weights.shape
    found = np.zeros((n_queries, n_candidates, n_positions))
    above = {0: np.ones(n_queries)}
    for k in range(n_positions):
        below: dict[int, Reals] = {}
        for taken, chance in above.items():
            left = [c for c in range(n_candidates) if not taken >> c & 1]
            here = chance[:, None] * weights[:, left] / weights[:, left].sum(axis=1, keepdims=True)
            found[:, left, k] += here
            for c, column in zip(left, here.T, strict=True):
                below[taken | 1 << c] = below.get(taken | 1 << c, 0.0) + column
        above = below
    return found


def conditional(weights: Reals, shown: Ints) -> Reals:
    """Returns each candidate's probability given those above it, (R, K), for pages shown (R, K).

    weights (R, C). The product over a page is the probability of the page.

    >>> conditional(np.array([[2.0, 1.0, 1.0]]), np.array([[1, 0, 2]])).round(3).tolist()
    [[0.25, 0.667, 1.0]]
    """
    chosen = np.take_along_axis(weights, shown, axis=1)
    hidden = weights.sum(axis=1, keepdims=True) - chosen.sum(axis=1, keepdims=True)
    left = np.cumsum(chosen[:, ::-1], axis=1)[:, ::-1] + np.maximum(hidden, 0.0)
    return np.asarray(chosen / left)
