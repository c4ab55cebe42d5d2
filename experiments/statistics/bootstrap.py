"""Intervals by bootstrap over users, paired between arms.

A replicate gives every user one Poisson(1) weight, the same for all arms, and forms every estimate
anew from the weighted sums of users (Chamandy, Muralidharan, Najmi, Naidu: Estimating Uncertainty
for Massive Data Streams, Google 2012). A user's requests stay together, so they may depend on each
other; what two arms share cancels in their lift.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import TypeVar

import numpy as np

from experiments.estimators.rankings import Reals, Sums, ratio_value

N_REPLICATES = 1000
SAME = 1e-12  # relative difference below which two replicates are one number
USERS_AT_ONCE = 2048
MIN_DEFINED = 0.99  # share of replicates whose control is above 0, for an interval of lift

Key = TypeVar("Key")


@dataclass(frozen=True)
class Replicates:
    """An estimate (A,) in actions per request, and the same estimate in B replicates (B, A)."""

    value: Reals
    replicates: Reals


@dataclass(frozen=True)
class Lift:
    """A treatment against the control: actions per request, and their ratio minus 1.

    low and high end the 95 % percentile interval of lift; p_value is two-sided, of no effect.
    lift is NaN where the control is 0, low and high where it is 0 in over 1 % of the replicates.
    """

    control: float
    treatment: float
    lift: float
    low: float
    high: float
    p_value: float


def replicate(
    sums: Mapping[Key, Sums], n_replicates: int = N_REPLICATES, seed: int = 0
) -> dict[Key, Replicates]:
    """Returns each estimate with its replicates; the sums must be of the same users.

    The same seed gives the same replicates. Memory: users are taken 2,048 at a time.
    """
    rng = np.random.default_rng(seed)
    n_users = {len(s.requests) for s in sums.values()}
    if len(n_users) != 1:
        raise ValueError("Give at least one estimate, and all of them of the same users.")
    widths = [_flat(s, slice(0)).shape[1] for s in sums.values()]
    total = np.zeros((n_replicates, sum(widths)))
    for start in range(0, n_users.pop(), USERS_AT_ONCE):
        block = slice(start, start + USERS_AT_ONCE)
        columns = np.concatenate([_flat(s, block) for s in sums.values()], axis=1)
        weights = rng.poisson(1.0, (n_replicates, len(columns))).astype(np.float64)
        total += weights @ columns
    totals = dict(zip(sums, np.split(total, np.cumsum(widths)[:-1], axis=1), strict=True))
    return {key: Replicates(s.value(), _values(totals[key], s)) for key, s in sums.items()}


def lift(treatment: Replicates, control: Replicates) -> list[Lift]:
    """Returns the treatment's Lift for each of the A actions.

    The p-value is twice the smaller share of replicates with an effect (treatment - control) on
    either side of 0, counting the estimate itself as one more: never below 2 / (B + 1).
    """
    return [
        _lift(
            float(treatment.value[a]), treatment.replicates[:, a],
            float(control.value[a]), control.replicates[:, a],
        )
        for a in range(len(treatment.value))
    ]  # fmt: skip


def _lift(treatment: float, treatments: Reals, control: float, controls: Reals) -> Lift:
    # which way equal sums are rounded depends on the processor and the number of threads
    same = np.isclose(treatments, controls, rtol=SAME, atol=0)
    treatments = np.where(same, controls, treatments)
    defined = np.isfinite(controls) & (controls > 0)
    low = high = nan
    if control > 0 and defined.mean() >= MIN_DEFINED:
        low, high = np.quantile(treatments[defined] / controls[defined] - 1, (0.025, 0.975))
    return Lift(
        control, treatment, treatment / control - 1 if control > 0 else nan,
        float(low), float(high), two_sided_p_value(treatments - controls),
    )  # fmt: skip


def two_sided_p_value(replicates: Reals) -> float:
    """Returns the two-sided p-value of 0 under the replicates (B,); NaN where none is defined.

    >>> two_sided_p_value(np.array([0.1, 0.2, 0.3, -0.1]))
    0.8
    """
    defined = replicates[np.isfinite(replicates)]
    if not len(defined):
        return nan
    rarer = min((defined <= 0).sum(), (defined >= 0).sum())
    return float(min(1.0, 2 * (rarer + 1) / (len(defined) + 1)))


def _flat(sums: Sums, users: slice = slice(None)) -> Reals:
    """All columns of the sums side by side, (U, S * A + 2 S + 1)."""
    numerator = sums.numerator[users]
    n_users, strata, actions = numerator.shape
    parts = (
        numerator.reshape(n_users, strata * actions),
        sums.denominator[users],
        sums.scale[users],
        sums.requests[users, None],
    )
    return np.concatenate(parts, axis=1)


def _values(totals: Reals, sums: Sums) -> Reals:
    _, strata, actions = sums.numerator.shape
    ends = np.cumsum([strata * actions, strata, strata])
    numerator, denominator, scale, requests = np.split(totals, ends, axis=1)
    shape = (len(totals), strata, actions)
    return ratio_value(numerator.reshape(shape), denominator, scale, requests[:, 0])
