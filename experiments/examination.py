"""How likely each position is examined, from requests shown in random order.

In random order the pins at position k are like those at position 1, so what position k earns
relative to position 1 is its examination (result randomisation; Wang, Golbandi, Bendersky, Metzler,
Najork: Position Bias Estimation for Unbiased Learning to Rank in Personal Search, WSDM 2018).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression
from scipy.stats import chi2_contingency

from experiments.estimators import Bools, Ints, Reals

MIN_REQUESTS = 1000  # fewer of a platform: the curve of all platforms together


@dataclass(frozen=True)
class Examination:
    """Examination of positions 1..K relative to position 1, by platform and over all platforms.

    overall (K,): 1 at position 1, never rising, above 0; by_platform: the same for each platform
    with enough requests; n_impressions: what `overall` was measured on.
    """

    overall: Reals
    by_platform: dict[str, Reals]
    n_impressions: int

    def of(self, platforms: npt.NDArray[np.str_], n_positions: int) -> Reals:
        """Returns the curve of each request's platform, (R, n_positions); past K the last holds."""
        names, codes = np.unique(platforms, return_inverse=True)
        curves = [self.by_platform.get(str(name), self.overall) for name in names]
        table = np.array([np.pad(c, (0, max(0, n_positions - len(c))), "edge") for c in curves])
        per_request: Reals = table.reshape(len(names), -1)[codes, :n_positions]
        return per_request


def curve(position: Ints, acted: Bools) -> Reals:
    """Returns examination relative to position 1, (K,) float64, for the K positions seen.

    position (N,) from 1; acted (N,): whether the impression got any action. The rate of each
    position is smoothed to never rise (isotonic regression weighted by impressions) and divided by
    that of position 1; a position without an action gets the smallest rate seen, so none is 0.
    Raises ValueError where no impression got an action.

    >>> curve(np.array([1, 1, 2, 2, 3, 3]), np.array([1, 1, 0, 1, 0, 1], bool)).tolist()
    [1.0, 0.5, 0.5]
    """
    shown = np.bincount(position)[1:].astype(np.float64)
    hits = np.bincount(position, acted)[1:]
    if not hits.sum():
        raise ValueError("No impression in random order got an action, so examination is unknown.")
    rate = np.divide(hits, shown, out=np.zeros_like(hits), where=shown > 0)
    smooth = isotonic_regression(rate, weights=np.maximum(shown, 1e-9), increasing=False).x
    smooth = np.maximum(smooth, smooth[smooth > 0].min())
    relative: Reals = smooth / smooth[0]
    return relative


def measure(
    position: Ints, acted: Bools, platform: npt.NDArray[np.str_], first: Bools
) -> Examination:
    """Returns the Examination of impressions in random order: all arguments (N,).

    `first` marks one row per request, by which a platform's requests are counted.
    Raises ValueError where no impression got an action.
    """
    by_platform = {}
    for name in np.unique(platform):
        rows = platform == name
        if first[rows].sum() >= MIN_REQUESTS and acted[rows].any():
            by_platform[str(name)] = curve(position[rows], acted[rows])
    return Examination(curve(position, acted), by_platform, len(position))


def common_curve_p_value(position: Ints, actions: Reals) -> float:
    """Returns the p-value that one curve serves all actions, 0 to 1; actions is (N, A).

    Among impressions with any action, the share with a given action must not depend on the
    position (chi-square per action; smallest p-value times their number: Bonferroni). 1 where
    nothing can be compared.
    """
    acted = actions.any(axis=1)
    position = position[acted]
    p_values = []
    for action in (actions[acted] > 0).T:
        with_, without = (np.bincount(position[x], minlength=position.max() + 1)[1:]
                          for x in (action, ~action))  # fmt: skip
        table = np.stack([with_, without])
        table = table[:, table.sum(axis=0) > 0]
        if table.shape[1] > 1 and table.sum(axis=1).all():
            p_values.append(float(chi2_contingency(table).pvalue))
    return min(1.0, min(p_values) * len(p_values)) if p_values else 1.0
