"""How likely each position is examined, from requests shown in random order.

In random order the pins at position k are like those at position 1, so what position k earns
relative to position 1 is its examination (result randomisation; Wang, Golbandi, Bendersky, Metzler,
Najork: Position Bias Estimation for Unbiased Learning to Rank in Personal Search, WSDM 2018).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import isotonic_regression
from scipy.stats import chi2_contingency

from experiments.estimators.rankings import Reals

MIN_REQUESTS = 1000  # a platform with fewer gets the curve of all platforms together


@dataclass(frozen=True)
class Examination:
    """Examination of positions 1..K relative to position 1, by platform and over all platforms.

    overall (K,): 1 at position 1, never rising, above 0; by_platform: the same for each platform
    with enough requests; n_impressions: what `overall` was measured on.
    """

    overall: Reals
    by_platform: Mapping[str, Reals]
    n_impressions: int

    def of(self, platforms: npt.NDArray[np.str_], n_positions: int) -> Reals:
        """Returns the curve of each request's platform, (R, n_positions); past K the last holds."""
        names, codes = np.unique(platforms, return_inverse=True)
        curves = np.empty((len(names), n_positions))
        for row, name in zip(curves, names, strict=True):
            known = self.by_platform.get(str(name), self.overall)
            row[:] = known[np.minimum(np.arange(n_positions), len(known) - 1)]
        per_request: Reals = curves[codes]
        return per_request


def measure(counts: pd.DataFrame) -> Examination:
    """Returns the Examination from impressions in random order.

    counts: one row per platform and position, with platform, position (from 1), shown
    (impressions) and acted (those with any action).
    Raises ValueError where no impression got an action.
    """
    positions = range(1, int(counts["position"].max()) + 1)
    by = {
        str(name): rows.set_index("position").reindex(positions, fill_value=0)
        for name, rows in counts[["platform", "position", "shown", "acted"]].groupby("platform")
    }
    arrays = {name: (_reals(rows["shown"]), _reals(rows["acted"])) for name, rows in by.items()}
    by_platform = {
        name: curve(shown, acted)
        for name, (shown, acted) in arrays.items()
        if shown[0] >= MIN_REQUESTS and acted.any()
    }
    shown, acted = np.sum(list(arrays.values()), axis=0)
    return Examination(curve(shown, acted), by_platform, int(shown.sum()))


def curve(shown: Reals, acted: Reals) -> Reals:
    """Returns examination relative to position 1, (K,) float64.

    shown (K,): impressions at each position; acted (K,): those with any action. The rates are
    smoothed to never rise (isotonic regression weighted by impressions) and divided by that of
    position 1; a position without an action gets the smallest rate above 0, so none is 0.
    Raises ValueError where no impression got an action.

    >>> curve(np.array([4.0, 4.0, 4.0]), np.array([4.0, 1.0, 3.0])).tolist()
    [1.0, 0.5, 0.5]
    """
    if not np.sum(acted):
        raise ValueError("No impression in random order got an action, so examination is unknown.")
    weights = np.maximum(shown, 1e-9)
    rate = isotonic_regression(acted / weights, weights=weights, increasing=False).x
    rate = np.maximum(rate, rate[rate > 0].min())
    relative: Reals = rate / rate[0]
    return relative


def common_curve_p_value(acted: Reals, actions: Reals) -> float:
    """Returns the p-value, 0 to 1, that one curve serves all actions.

    acted (K,): impressions with any action at each position; actions (K, A): with each action.
    Given that there was an action, its kind must not depend on the position: chi-square per
    action, and the smallest p-value times their number (Bonferroni). 1 where nothing compares.
    """
    p_values = []
    for with_action in actions.T:
        table = np.stack([with_action, acted - with_action])
        table = table[:, table.sum(axis=0) > 0]
        if table.shape[1] > 1 and table.sum(axis=1).all():
            p_values.append(float(chi2_contingency(table).pvalue))
    return min(1.0, min(p_values) * len(p_values)) if p_values else 1.0


def _reals(values: "pd.Series[float]") -> Reals:
    return np.asarray(values, dtype=np.float64)
