"""How likely each position is examined, from production traffic.

Where no request was shown in random order (examination.py), the same (query pin, candidate pin)
shown at several positions tells position from relevance. Both estimators here assume the position-
based model, P(click) = examination of the position * relevance of the pair, and that the relevance
of a pair is the same wherever it was shown. Where a pair moves up because it has come into fashion,
that is wrong, and the top looks examined more than it is: prefer random order where there is any.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import xlog1py, xlogy

from experiments.estimators.estimate import numbers
from experiments.estimators.rankings import Ints, Reals

MAX_ITERATIONS = 1000
MIN_GAIN = 1e-4  # of log-likelihood by an iteration, in nats


@dataclass(frozen=True)
class RegressionEM:
    """Examination (K,) relative to position 1; log-likelihood (T,), of the start and each step."""

    examination: Reals
    log_likelihood: Reals


@dataclass(frozen=True)
class _Cells:
    """What was shown of each (pair, position): C cells of P pairs, positions 0..K-1."""

    pair: Ints
    position: Ints
    shown: Reals
    clicked: Reals


def regression_em(pair: Ints, position: Ints, clicked: Reals) -> RegressionEM:
    """Returns examination by expectation-maximisation (Wang et al., WSDM 2018, section 4).

    One row per impression: pair (N,), number of its (query pin, candidate pin), from 0; position
    (N,), from 1; clicked (N,), 0 or 1. E-step: P(examined) and P(relevant) of an impression without
    click. M-step: their means by position and by pair. Relevance is a table, one number per pair,
    in place of the paper's regression on features; pairs shown at one position only tell nothing of
    examination then, and are left out. Two steps are extrapolated where that raises the likelihood,
    and not otherwise (SQUAREM: Varadhan and Roland, Scandinavian Journal of Statistics 2008). Stops
    where an iteration gains under MIN_GAIN, or after MAX_ITERATIONS.
    Raises ValueError where no pairs link a position to position 1, or position 1 got no click.
    """
    cells = _linked(_cells(pair, position, clicked))
    n_positions = int(cells.position.max()) + 1
    now = _start(cells)
    path = [_log_likelihood(now, cells)]
    for _ in range(MAX_ITERATIONS):
        now = _iteration(now, cells)
        path.append(_log_likelihood(now, cells))
        if path[-1] - path[-2] < MIN_GAIN:
            break
    return RegressionEM(now[:n_positions] / now[0], np.array(path))


def adjacent_chain(pair: Ints, position: Ints, clicked: Reals) -> Reals:
    """Returns examination (K,) relative to position 1, by intervention harvesting.

    Arguments as for regression_em. The ratio of the click rates of k + 1 and k is taken over the
    pairs that were shown at both, and examination is the product of these ratios (AdjacentChain:
    Agarwal, Zaitsev, Wang, Li, Najork, Joachims, WSDM 2019). Pairs are weighted as in the risk
    ratio of Mantel and Haenszel, by how often they were shown; the paper weights them alike.
    Raises ValueError where two adjacent positions share no pair that was clicked at the upper one.

    >>> pair, position = np.array([0, 0, 0, 0]), np.array([1, 1, 2, 2])
    >>> adjacent_chain(pair, position, np.array([1.0, 1.0, 1.0, 0.0])).tolist()
    [1.0, 0.5]
    """
    cells = _cells(pair, position, clicked)
    step = np.flatnonzero((np.diff(cells.pair) == 0) & (np.diff(cells.position) == 1))
    upper, lower, n_steps = step, step + 1, int(cells.position.max())
    both = cells.shown[upper] + cells.shown[lower]
    here = cells.position[upper]
    below = np.bincount(here, cells.clicked[lower] * cells.shown[upper] / both, n_steps)
    above = np.bincount(here, cells.clicked[upper] * cells.shown[lower] / both, n_steps)
    if not above.all():
        k = int(np.flatnonzero(above == 0)[0]) + 1
        raise ValueError(
            f"No pair shown at positions {k} and {k + 1} was clicked at {k}: give more traffic, or "
            f"only the positions up to {k}."
        )
    return np.concatenate([[1.0], np.cumprod(below / above)])


def _cells(pair: Ints, position: Ints, clicked: Reals) -> _Cells:
    """Sums the impressions by pair and position, in that order."""
    *_, acted = numbers(pair=pair, position=position, clicked=clicked)
    if pair.min() < 0 or position.min() < 1:
        raise ValueError("Number pairs from 0 and positions from 1.")
    if not np.isin(acted, (0.0, 1.0)).all():
        raise ValueError("Give clicked as 0 or 1, one row per impression.")
    n_positions = int(position.max())
    cell, row = np.unique(pair * n_positions + position - 1, return_inverse=True)
    shown = np.bincount(row).astype(np.float64)
    total = np.bincount(row, acted).astype(np.float64)
    return _Cells(cell // n_positions, cell % n_positions, shown, total)


def _linked(cells: _Cells) -> _Cells:
    """Keeps the pairs shown at several positions, numbered anew, if they link all positions."""
    n_positions = int(cells.position.max()) + 1
    kept = (np.bincount(cells.pair) > 1)[cells.pair]
    _, pair = np.unique(cells.pair[kept], return_inverse=True)
    cells = _Cells(pair, cells.position[kept], cells.shown[kept], cells.clicked[kept])
    next_to = np.flatnonzero(np.diff(cells.pair) == 0)
    edges = (cells.position[next_to], cells.position[next_to + 1])
    graph = coo_array((np.ones(len(next_to)), edges), shape=(n_positions, n_positions))
    _, part = connected_components(graph, directed=False)
    if apart := [int(k) + 1 for k in np.flatnonzero(part != part[0])]:
        raise ValueError(
            f"No pairs link positions {apart} to position 1, so their examination cannot be told "
            "from relevance: give more traffic, or leave these positions out."
        )
    if not cells.clicked[cells.position == 0].any():
        raise ValueError("No pair shown at several positions was clicked at the first of them.")
    return cells


def _start(cells: _Cells) -> Reals:
    """Click rates by position, relative to the highest, and by pair, given those."""
    rate = np.bincount(cells.position, cells.clicked) / np.bincount(cells.position, cells.shown)
    examination = rate / rate.max()
    seen = np.bincount(cells.pair, cells.shown * examination[cells.position])
    relevance = (np.bincount(cells.pair, cells.clicked) + 1) / (seen + 2)
    return np.concatenate([examination, np.minimum(relevance, 0.999)])


def _iteration(now: Reals, cells: _Cells) -> Reals:
    """Two steps of expectation-maximisation, extrapolated where that is more likely."""
    one = _step(now, cells)
    two = _step(one, cells)
    first, second = one - now, two - 2 * one + now
    curvature = float(np.linalg.norm(second))
    if not curvature:
        return two
    length = max(float(np.linalg.norm(first)) / curvature, 1.0)
    far = np.clip(now + 2 * length * first + length**2 * second, 1e-12, 1 - 1e-9)
    far = _step(far, cells)
    return far if _log_likelihood(far, cells) >= _log_likelihood(two, cells) else two


def _step(now: Reals, cells: _Cells) -> Reals:
    """One E-step and M-step; `now` is examination (K,) followed by relevance (P,)."""
    n_positions = int(cells.position.max()) + 1
    examination, relevance = now[:n_positions][cells.position], now[n_positions:][cells.pair]
    missed = cells.shown - cells.clicked
    per_missed = missed / np.maximum(1 - examination * relevance, 1e-12)
    examined = cells.clicked + per_missed * examination * (1 - relevance)
    relevant = cells.clicked + per_missed * relevance * (1 - examination)
    return np.concatenate(
        [
            np.bincount(cells.position, examined) / np.bincount(cells.position, cells.shown),
            np.bincount(cells.pair, relevant) / np.bincount(cells.pair, cells.shown),
        ]
    )


def _log_likelihood(now: Reals, cells: _Cells) -> float:
    n_positions = int(cells.position.max()) + 1
    rate = now[:n_positions][cells.position] * now[n_positions:][cells.pair]
    missed = cells.shown - cells.clicked
    return float((xlogy(cells.clicked, rate) + xlog1py(missed, -rate)).sum())
