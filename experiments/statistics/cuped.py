"""CUPED: a comparison with less noise, by what users did before the experiment.

Deng, Xu, Kohavi, Walker: Improving the Sensitivity of Online Controlled Experiments by Utilizing
Pre-Experiment Data, WSDM 2013, section 3. The metric y becomes y - theta (x - mean of x), with the
covariate x from earlier days, and theta and the mean of x those of both groups together. No arm
could touch x, so the effect stays and the part of the variance that x explains goes.
"""

from dataclasses import dataclass

import numpy as np

from experiments.estimators.rankings import Reals
from experiments.statistics import comparison
from experiments.statistics.comparison import Comparison
from experiments.statistics.moments import Moments


@dataclass(frozen=True)
class Adjusted(Comparison):
    """A Comparison after adjustment; its estimates are of users like both groups together.

    variance_reduction: 1 - variance of the effect / its variance without covariates; 0.36 means
    that the same certainty would have needed 1 / (1 - 0.36) times the users. NaN without variance.
    """

    variance_reduction: float


def means(control: Moments, treatment: Moments, level: float = 0.95) -> Adjusted:
    """Returns the adjusted comparison of means, from columns metric, covariate, covariate, ...

    theta is the least-squares coefficient over both groups pooled. A covariate that is the same
    for everybody adjusts nothing. Raises ValueError where there is no covariate.
    """
    return _adjusted(control, treatment, control + treatment, level)


def ratios(control: Moments, treatment: Moments, level: float = 0.95) -> Adjusted:
    """Returns the adjusted comparison of ratios, from columns in pairs, each ratio's numerator
    and denominator: first the metric's, then the covariates'.

    Every ratio is linearised first (delta method), so theta is that of the linear terms. A user
    without earlier days has 0 in both earlier columns, which is the mean of the linear term: such
    users are neither left out nor adjusted. Raises ValueError where there is no covariate.
    """
    pooled = (control + treatment).linearised_ratios()
    return _adjusted(control.linearised_ratios(), treatment.linearised_ratios(), pooled, level)


def filled(covariates: Reals) -> Reals:
    """Returns covariates (N, C) of all users, both groups, with NaN replaced by the column's mean.

    A user without earlier days is NaN: with the mean of the others such a user is not adjusted,
    and whether one is new cannot favour a group. A column of NaN only becomes 0.

    >>> filled(np.array([[1.0], [np.nan], [3.0]])).ravel().tolist()
    [1.0, 2.0, 3.0]
    """
    known = np.isfinite(covariates)
    total = np.where(known, covariates, 0.0).sum(axis=0)
    return np.where(known, covariates, total / np.maximum(known.sum(axis=0), 1))


def _adjusted(control: Moments, treatment: Moments, pooled: Moments, level: float) -> Adjusted:
    if len(pooled.mean) < 2:
        raise ValueError("Give at least one covariate after the metric, or compare without CUPED.")
    theta = _theta(pooled)
    used = np.flatnonzero(theta)
    weights = np.concatenate([[1.0], -theta[used]])[None, :]
    constant = (theta[used] @ pooled.mean[used + 1])[None]
    plain = comparison.means(_columns(control, [0]), _columns(treatment, [0]), level)
    found = comparison.means(
        _columns(control, [0, *(used + 1)]).affine(weights, constant),
        _columns(treatment, [0, *(used + 1)]).affine(weights, constant),
        level,
    )
    kept = found.standard_error**2 / plain.standard_error**2 if plain.standard_error else np.nan
    return Adjusted(**vars(found), variance_reduction=1 - kept)


def _theta(pooled: Moments) -> Reals:
    """Least-squares coefficients of column 0 on the others, (C,); 0 for those without variance."""
    scale = np.sqrt(np.diag(pooled.covariance)[1:])
    used = np.flatnonzero(scale > 0)  # NaN, a ratio without any denominator, is not
    rows = used + 1
    correlation = pooled.covariance[np.ix_(rows, rows)] / np.outer(scale[used], scale[used])
    theta = np.zeros(len(scale))
    if np.isfinite(pooled.covariance[0, rows]).all():
        with_metric = pooled.covariance[rows, 0] / scale[used]
        theta[used] = np.linalg.lstsq(correlation, with_metric)[0] / scale[used]
    return theta


def _columns(moments: Moments, columns: list[int]) -> Moments:
    return Moments(moments.n, moments.mean[columns], moments.comoment[np.ix_(columns, columns)])
