"""Stability of a distribution: how far a sample has moved from a reference."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

Reals = NDArray[np.float64]
FLOOR = 1e-4  # an empty bin counts as this share, so that the index is finite


def psi(expected: Reals, actual: Reals) -> float:
    """The population stability index of shares (B,) against expected shares (B,), from 0.

    PSI = sum (a - e) ln(a / e), the symmetric Kullback-Leibler divergence (Lewis 1994, An
    Introduction to Credit Scoring; Siddiqi 2006, Credit Risk Scorecards, reads below 0.1 as stable
    and from 0.25 as a shift). Shares below 0.0001 count as 0.0001.

    >>> round(psi(np.array([0.5, 0.5]), np.array([0.6, 0.4])), 4)
    0.0405
    """
    e, a = np.maximum(expected, FLOOR), np.maximum(actual, FLOOR)
    return float(np.sum((a - e) * np.log(a / e)))


def noise(n_expected: int, n_actual: int, n_bins: int, level: float) -> float:
    """The PSI that two samples of one distribution exceed with probability `level`.

    Chi-squared with B - 1 degrees of freedom, times 1 / n + 1 / m (Yurdakul & Naranjo 2020,
    Statistical properties of the population stability index, Journal of Risk Model Validation
    14(4)). 0 with one bin, infinite without observations.

    >>> round(noise(1000, 1000, 10, 0.05), 4)
    0.0338
    """
    if n_bins < 2:
        return 0.0
    if not (n_expected and n_actual):
        return float("inf")
    return float(chi2.isf(level, n_bins - 1)) * (1 / n_expected + 1 / n_actual)


def decile_edges(reference: Reals) -> Reals:
    """Inner edges of right-closed bins (E,), rising: the deciles of the values that are not NaN.

    A value that is more than one decile gets a bin of its own, so that the index also sees it
    become rarer. Without values, no edge.

    >>> decile_edges(np.arange(101.0)).tolist()
    [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0]
    >>> bin_shares(np.array([1.0, 1.0, 0.0, 0.0]), decile_edges(np.ones(9))).tolist()
    [0.5, 0.5, 0.0, 0.0]
    """
    known = reference[~np.isnan(reference)]
    if not len(known):
        return np.empty(0)
    deciles = np.quantile(known, np.arange(1, 10) / 10, method="inverted_cdf")
    values, times = np.unique(deciles, return_counts=True)
    below = np.nextafter(values[times > 1], -np.inf)
    return np.unique(np.concatenate([values, below]))


def bin_shares(values: Reals, edges: Reals) -> Reals:
    """Shares (E + 2,) of the values (N,) in the bins of the edges (E,), and last those that are
    NaN; they sum to 1, or are all 0 without values.

    >>> bin_shares(np.array([1.0, 2.0, 3.0, np.nan]), np.array([2.0])).tolist()
    [0.5, 0.25, 0.25]
    """
    bins = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))
    counts = np.bincount(bins, minlength=len(edges) + 2)
    return np.asarray(counts / max(len(values), 1), dtype=np.float64)
