"""An estimate with its interval, from each row's influence, clustered by user."""

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from scipy.stats import t

from experiments.estimators.rankings import Ints, Reals, effective_sample_size

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """What a policy earns, and how well that is known.

    value: in units of the reward; standard_error: of value, clustered by user; low and high: ends
    of the 95 % interval, by Student's t with n_users - 1 degrees of freedom. With a single user all
    three are NaN; where no row earned anything the interval has no width and says nothing. n_rows:
    number of weights that value rests on; effective_sample_size: equally weighted rows worth as
    much (Kish 1965), at most n_rows.
    """

    value: float
    standard_error: float
    low: float
    high: float
    n_rows: int
    n_users: int
    effective_sample_size: float


def clustered(influence: Reals, user: Ints, value: float, weights: Reals) -> Estimate:
    """Returns the Estimate of a value on which each row has this influence.

    influence (N,): what the row adds to N * (value - truth), to first order, with mean 0; user
    (N,): number of the row's user, any integers; weights (M,): those that value rests on. Standard
    error: sqrt(G / (G - 1) * sum over the G users of (their summed influence)^2) / N (Liang and
    Zeger, Biometrika 1986, with the usual correction for few clusters).
    Raises ValueError where there are no rows, a number is missing or the lengths differ.

    >>> found = clustered(np.array([-1.0, 1.0, 0.0, 0.0]), np.array([1, 2, 3, 3]), 5.0, np.ones(4))
    >>> round(found.standard_error, 4)  # sqrt(3 / 2 * 2) / 4
    0.433
    """
    influence, _ = numbers(influence=influence, user=user)
    _, cluster = np.unique(user, return_inverse=True)
    totals = np.bincount(cluster, influence)
    n_users = len(totals)
    error = half = nan
    if n_users > 1:
        error = sqrt(n_users / (n_users - 1) * float(np.square(totals).sum())) / len(influence)
        half = error * float(t.ppf((1 + CONFIDENCE) / 2, n_users - 1))
    size = effective_sample_size(weights)
    return Estimate(value, error, value - half, value + half, len(weights), n_users, size)


def numbers(**columns: Reals | Ints) -> list[Reals]:
    """Returns the named columns (N,) as float64.

    Raises ValueError, with the names, where there are no rows, lengths differ or a number is NaN or
    infinite.

    >>> numbers(reward=np.array([1, 0]))
    [array([1., 0.])]
    """
    found = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    shapes = {name: column.shape for name, column in found.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise ValueError(f"Give columns of one length, one number a row; these have {shapes}.")
    if not next(iter(found.values())).size:
        raise ValueError(f"Give at least one row of {', '.join(found)}: there is nothing to learn.")
    for name, column in found.items():
        if not np.isfinite(column).all():
            raise ValueError(f"Leave out the rows whose {name} is missing or infinite.")
    return list(found.values())
