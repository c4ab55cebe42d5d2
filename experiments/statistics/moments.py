"""Count, mean and comoment of users: all that a comparison of means or ratios needs to know.

Moments of days, shards or groups add up, so they can be kept instead of the rows.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from experiments.estimators.rankings import Reals


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of n units (users) in D columns.

    mean (D,) float64; comoment (D, D) float64: sum over units of (x - mean)(x - mean)^T. No unit
    at all is n = 0 with zeros.
    """

    n: int
    mean: Reals
    comoment: Reals

    @classmethod
    def of(cls, values: npt.ArrayLike) -> "Moments":
        """Returns the moments of the values (N, D), one row per unit.

        Raises ValueError where they are not a matrix, or not all finite.

        >>> Moments.of([[1.0], [3.0]]).covariance.tolist()
        [[2.0]]
        """
        rows = np.asarray(values, dtype=np.float64)
        if rows.ndim != 2:
            raise ValueError("Give a matrix, one row per unit and one column per quantity.")
        if not np.isfinite(rows).all():
            raise ValueError("Fill or leave out the values that are missing or infinite.")
        n, n_columns = rows.shape
        if not n:
            return cls(0, np.zeros(n_columns), np.zeros((n_columns, n_columns)))
        mean = rows.mean(axis=0)
        centred = rows - mean
        return cls(n, mean, centred.T @ centred)

    @classmethod
    def of_summary(cls, n: int, mean: float, variance: float) -> "Moments":
        """Returns the moments of one column (D = 1) from its mean and sample variance (ddof = 1).

        >>> Moments.of_summary(2, 2.0, 2.0).comoment.tolist()
        [[2.0]]
        """
        return cls(n, np.array([mean]), np.array([[variance * max(n - 1, 0)]]))

    def __add__(self, other: "Moments") -> "Moments":
        """Returns the moments of both groups of units together.

        Chan, Golub, LeVeque: Updating Formulae and a Pairwise Algorithm for Computing Sample
        Variances, Stanford 1979, for every pair of columns.
        """
        if self.mean.shape != other.mean.shape:
            raise ValueError("Add moments of the same columns only.")
        n = self.n + other.n
        if not self.n or not other.n:
            return self if self.n else other
        apart = other.mean - self.mean
        comoment = self.comoment + other.comoment
        comoment = comoment + np.outer(apart, apart) * (self.n * other.n / n)
        return Moments(n, self.mean + apart * (other.n / n), comoment)

    @property
    def covariance(self) -> Reals:
        """Sample covariance (ddof = 1) of the columns, (D, D); NaN with fewer than two units."""
        if self.n < 2:
            return np.full_like(self.comoment, np.nan)
        return self.comoment / (self.n - 1)

    @property
    def covariance_of_mean(self) -> Reals:
        """Covariance of the mean, (D, D): covariance / n; NaN with fewer than two units."""
        return self.covariance / max(self.n, 1)

    def affine(self, weights: Reals, constant: Reals) -> "Moments":
        """Returns the moments of constant + weights x: weights (E, D), constant (E,), E columns.

        >>> Moments.of([[1.0, 2.0], [3.0, 2.0]]).affine(np.array([[2.0, 1.0]]), np.ones(1)).mean
        array([7.])
        """
        mean = constant + weights @ self.mean
        return Moments(self.n, mean, weights @ self.comoment @ weights.T)

    def linearised_ratios(self) -> "Moments":
        """Returns the moments of the ratios of columns (0, 1), (2, 3), ..., D / 2 columns.

        A ratio of means R = mean a / mean b behaves in large samples like the mean of the units'
        R + (a - R b) / mean b: the delta method (Deng, Knoblich, Lu: Applying the Delta Method in
        Metric Analytics, KDD 2018). A mean denominator of 0 makes its ratio NaN.
        Raises ValueError where D is odd.

        >>> Moments.of([[1, 2], [2, 2]]).linearised_ratios().mean
        array([0.75])
        """
        if len(self.mean) % 2:
            raise ValueError("Give a denominator column after each numerator column.")
        numerator, denominator = self.mean[::2], self.mean[1::2]
        known = np.where(denominator == 0, np.nan, denominator)
        ratio = numerator / known
        weights = np.zeros((len(ratio), len(self.mean)))
        pairs = np.arange(len(ratio))
        weights[pairs, 2 * pairs] = 1 / known
        weights[pairs, 2 * pairs + 1] = -ratio / known
        return self.affine(weights, ratio)
