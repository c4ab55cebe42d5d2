"""Intervals and p-values that stay valid however often one looks, and whenever one stops.

The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas: Time-uniform
Central Limit Theory and Asymptotic Confidence Sequences, Annals of Statistics 2024
(https://arxiv.org/abs/2103.06476), theorem 2.2: Robbins' normal mixture with estimated variance.
Its p-value is that of the mixture sequential probability ratio test (Johari, Koomen, Pekelis,
Walsh: Peeking at A/B Tests, KDD 2017) with mixing variance rho^2 times the variance per unit.

Assumes that each unit arrives once with its outcome, independent of the others, and that the first
look has enough units for a normal mean (hundreds, more where outcomes are skewed).

The price at 95 %: 1.55 times the fixed interval's width where it is narrowest, at `tuned_for`
units; 1.66 times at a quarter of them and 1.60 times at four times as many. What it buys: of 2,000
experiments without effect, looked at 80 times up to there, the fixed interval ever excluded 0 in
36 %, this one in 1.4 % (the rest of its 5 % is for looks beyond).
"""

import numpy as np
import numpy.typing as npt
from scipy.special import lambertw

from experiments.estimators.rankings import Reals


def interval(
    effect: npt.ArrayLike,
    variance_per_unit: npt.ArrayLike,
    n: npt.ArrayLike,
    level: float = 0.95,
    *,
    tuned_for: npt.ArrayLike,
) -> tuple[Reals, Reals]:
    """Returns the ends (low, high) of the confidence sequence; all inputs broadcast.

    All looks together cover the true effect with probability `level`. effect: the estimate so far;
    variance_per_unit: n times its squared standard error, for two groups with n the users of both;
    tuned_for: number of units at which the interval is narrowest, fixed before the first look.
    The ends are infinite at n = 0. Raises ValueError where tuned_for is not above 0.

    >>> low, high = interval(0.1, 1.0, 1000, tuned_for=1000)
    >>> round(float(low), 3), round(float(high), 3)
    (0.004, 0.196)
    """
    found, variance, units = (
        np.asarray(x, dtype=np.float64) for x in (effect, variance_per_unit, n)
    )
    intrinsic = units * _rho_squared(level, tuned_for)
    with np.errstate(divide="ignore"):
        square = (intrinsic + 1) / (intrinsic * units) * np.log((intrinsic + 1) / (1 - level) ** 2)
    reach = np.sqrt(variance * square)
    return found - reach, found + reach


def p_value(
    effect: npt.ArrayLike,
    variance_per_unit: npt.ArrayLike,
    n: npt.ArrayLike,
    level: float = 0.95,
    *,
    tuned_for: npt.ArrayLike,
) -> Reals:
    """Returns the always-valid p-value of no effect, 0 to 1; all inputs broadcast.

    Without an effect it ever falls to p with probability at most p, so the smallest over the looks
    is a p-value too. It is at most 1 - level exactly where the interval excludes 0 (level only
    tunes it). 1 at n = 0 and where effect and variance are 0. Raises ValueError where tuned_for is
    not above 0.

    >>> round(float(p_value(0.1, 1.0, 1000, tuned_for=1000)), 3)
    0.035
    """
    found, variance, units = (
        np.asarray(x, dtype=np.float64) for x in (effect, variance_per_unit, n)
    )
    intrinsic = units * _rho_squared(level, tuned_for)
    with np.errstate(divide="ignore", invalid="ignore"):
        z_squared = np.square(found) * units / variance
    z_squared = np.where((found == 0) | (units == 0), 0.0, z_squared)
    log_evidence = z_squared * intrinsic / (2 * (intrinsic + 1)) - np.log1p(intrinsic) / 2
    smallest: Reals = np.exp(-np.maximum(log_evidence, 0.0))
    return smallest


def _rho_squared(level: float, tuned_for: npt.ArrayLike) -> Reals:
    """The rho^2 with the narrowest interval at n = tuned_for (same paper, appendix on rho)."""
    units = _reals(tuned_for)
    if not (units > 0).all():
        raise ValueError("Tune for a number of units above 0, such as the users you plan for.")
    best = -lambertw(-np.exp(-1) * (1 - level) ** 2, -1).real - 1
    found: Reals = best / units
    return found


def _reals(values: npt.ArrayLike) -> Reals:
    return np.asarray(values, dtype=np.float64)
