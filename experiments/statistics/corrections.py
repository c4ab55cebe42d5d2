"""P-values of many comparisons, adjusted for their number."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import false_discovery_control


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns the p-values adjusted by Holm's step-down method (Holm 1979), in the given order.

    Rejecting those at or below a level makes any false rejection at most that likely, whatever
    the dependence. NaN stays NaN and does not count.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    >>> holm([0.01, float("nan"), 0.04])
    [0.02, nan, 0.04]
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given)[: np.isfinite(given).sum()]
    steps = given[order] * np.arange(len(order), 0, -1)
    adjusted = np.full(len(given), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in adjusted]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Returns the p-values adjusted by Benjamini and Hochberg (JRSS B 1995), in the given order.

    Rejecting those at or below a level keeps the expected share of false ones among the rejected
    at most at that level, for independent or positively dependent tests. NaN stays NaN and does
    not count.

    >>> benjamini_hochberg([0.01, 0.04, 0.03, float("nan")])
    [0.03, 0.04, 0.04, nan]
    """
    given = np.asarray(p_values, dtype=np.float64)
    known = np.isfinite(given)
    adjusted = np.full(len(given), np.nan)
    if known.any():
        adjusted[known] = false_discovery_control(given[known])
    return [float(p) for p in adjusted]
