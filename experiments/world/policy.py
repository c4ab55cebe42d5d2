"""The logging policies: which candidates a Related Pins page shows, and how probably.

`production` owns a finite set of pages per query pin, drawn once by Plackett-Luce over noisy
scores; each request gets one of them uniformly. The marginal propensity of a candidate at a
position is thus exactly the share of these pages that have it there. `random` shows a uniformly
random order: its propensity is exactly 1 / number of candidates, at every position.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
PAGES = 600  # pages in production's set, per query pin and set of candidates


@dataclass(frozen=True)
class Shown:
    """Shown candidates: columns (R, positions) into the query's candidates, with propensities."""

    columns: Ints
    propensity: Floats


def plackett_luce(scores: Floats, n: int, positions: int, rng: np.random.Generator) -> Ints:
    """Returns n rankings (n, positions) drawn by Plackett-Luce: weights exp(score), -inf = never.

    Gumbel-top-k trick: Kool et al. 2019, https://arxiv.org/abs/1903.06059
    """
    noisy = scores + rng.gumbel(size=(n, len(scores)))
    return np.argsort(-noisy, axis=1)[:, :positions]


def shares(pages: Ints, candidates: int) -> Floats:
    """Returns the share of pages (P, K) that show each candidate at each position, (C, K).

    >>> shares(np.array([[0, 1], [0, 2]]), 3).tolist()
    [[1.0, 0.0], [0.0, 0.5], [0.0, 0.5]]
    """
    n, positions = pages.shape
    counts = np.zeros((candidates, positions))
    np.add.at(counts, (pages, np.arange(positions)), 1)
    return np.asarray(counts / n)


def show(
    query: Ints,
    randomised: NDArray[np.bool_],
    available: NDArray[np.bool_],
    scores: Floats,
    positions: int,
    rng: np.random.Generator,
) -> Shown:
    """Returns what each of R requests shows.

    query (R,) numbers the query pin; randomised (R,) tells the random policy's requests;
    available (R, C) the candidates there are; scores (Q, C) production's. Raises ValueError
    where a page has more positions than candidates.
    """
    if int(available.sum(1).min(initial=positions)) < positions:
        raise ValueError(f"Every query pin needs at least {positions} candidates to fill a page.")
    columns = np.argsort(np.where(available, rng.random(available.shape), 2.0), axis=1)
    columns = columns[:, :positions]
    propensity = np.repeat(1 / available.sum(1, keepdims=True), positions, axis=1)
    states, state = np.unique(np.column_stack([query, available]), axis=0, return_inverse=True)
    for number, row in enumerate(states):
        rows = np.flatnonzero((state == number) & ~randomised)
        masked = np.where(row[1:], scores[row[0]], -np.inf)
        pages = plackett_luce(masked, PAGES, positions, rng)
        columns[rows] = pages[rng.integers(PAGES, size=len(rows))]
        share = shares(pages, len(masked))
        propensity[rows] = share[columns[rows], np.arange(positions)]
    return Shown(columns, propensity)
