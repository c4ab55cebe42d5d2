"""What the outcomes of a calibration add up to: false alarms, coverage, errors, power."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd
from scipy.stats import binomtest

LEVEL = 0.05
POWER = 0.8


def groups(rows: pd.DataFrame, *columns: str) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """Yields the rows of each combination of the columns, in order of first appearance."""
    for key, some in rows.groupby(list(columns), sort=False):
        yield tuple(str(part) for part in key), some


@dataclass(frozen=True)
class Share:
    """How often something happened: k of n, with its 95 % Wilson interval."""

    k: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.k / self.n

    def verdict(self, aim: tuple[float, float]) -> str:
        """Returns whether the share lies within the aim, or outside by no more than chance.

        >>> share(50, 1000).verdict((0.04, 0.06)), share(63, 1000).verdict((0.04, 0.06))
        ('met', 'within chance')
        >>> share(100, 1000).verdict((0.04, 0.06))
        'missed'
        """
        if aim[0] <= self.value <= aim[1]:
            return "met"
        return "within chance" if self.low <= aim[1] and aim[0] <= self.high else "missed"


def share(k: int, n: int) -> Share:
    """Returns the Share of k in n; raises ValueError where n is 0.

    >>> round(share(5, 100).low, 3), round(share(5, 100).high, 3)
    (0.022, 0.112)
    """
    interval = binomtest(k, n).proportion_ci(method="wilson")
    return Share(k, n, float(interval.low), float(interval.high))


def alarms(rows: pd.DataFrame) -> Share:
    """Returns how often p_value is below 5 %; a missing p-value is no alarm."""
    return share(int((rows["p_value"] < LEVEL).sum()), len(rows))


@dataclass(frozen=True)
class Coverage:
    """How often intervals held the truth. share: of those with two ends; too_high and too_low: part
    of them, 0 to 1, that lay wholly above or below it; width: their median; n_open: those without
    ends, which are left out."""

    share: Share
    too_high: float
    too_low: float
    width: float
    n_open: int


def coverage(rows: pd.DataFrame) -> Coverage:
    """Returns the Coverage of truth by low to high."""
    closed = rows[rows["low"].notna() & rows["high"].notna()]
    above, below = closed["low"] > closed["truth"], closed["high"] < closed["truth"]
    return Coverage(
        share(int((~above & ~below).sum()), len(closed)), float(above.mean()), float(below.mean()),
        float((closed["high"] - closed["low"]).median()), len(rows) - len(closed),
    )  # fmt: skip


@dataclass(frozen=True)
class Error:
    """How far an estimator is from the truth, in parts of the truth.

    bias: mean error; rmse: root of the mean squared error; by_world: root of the mean squared bias
    of single worlds, 0 where chance explains it all; biased: see error(). n_undefined: estimates
    that are NaN; their worlds are left out.
    """

    bias: float
    rmse: float
    by_world: float
    biased: bool
    n_undefined: int


def error(rows: pd.DataFrame) -> Error:
    """Returns the Error over worlds with two logs each, named by the column quantity.

    The product of both logs' errors has the squared bias of the world as its expectation, so biases
    of opposite sign do not cancel between worlds. `biased` where the mean product is above 0 by
    more than three of its standard errors, and its root above a third of the RMSE.
    """
    relative = rows.assign(error=rows["value"] / rows["truth"] - 1)
    pairs = relative.pivot(index="seed", columns="quantity", values="error")
    known = pairs.dropna().to_numpy()
    n_undefined = int(pairs.isna().to_numpy().sum())
    if len(known) < 2:
        return Error(nan, nan, nan, False, n_undefined)
    product = known.prod(axis=1)
    mean, noise = float(product.mean()), float(product.std(ddof=1)) / np.sqrt(len(product))
    rmse, by_world = float(np.sqrt(np.square(known).mean())), float(np.sqrt(max(mean, 0.0)))
    biased = mean > 3 * noise and by_world > rmse / 3
    return Error(float(known.mean()), rmse, by_world, bool(biased), n_undefined)


def requests_for_power(power: "pd.Series[float]", level: float = POWER) -> float:
    """Returns the requests at which power, indexed by requests, first reaches the level.

    By linear interpolation in the logarithm of requests; infinite where it is never reached.

    >>> round(requests_for_power(pd.Series([0.2, 0.6, 1.0], index=[100, 1000, 10000])), 0)
    3162.0
    """
    reached = np.flatnonzero(power.to_numpy() >= level)
    if not len(reached):
        return np.inf
    at = int(reached[0])
    if not at:
        return float(power.index[0])
    some = power.iloc[at - 1 : at + 1]
    logarithm = np.interp(level, some.to_numpy(), np.log(some.index.to_numpy(dtype=float)))
    return float(np.exp(logarithm))


def power(found: pd.DataFrame) -> dict[str, "pd.Series[float]"]:
    """Returns for each kind of test its power, indexed by requests, where there is a lift."""
    rows = found[(found["study"] == "sensitivity") & (found["world"] != "no lift")]
    return {
        str(name): pd.Series({n: alarms(some).value for n, some in of_test.groupby("n_requests")})
        for name, of_test in rows.groupby("estimator", sort=False)
    }
