"""Standard errors of offline estimates by linearisation: the check of the bootstrap.

An estimate is a smooth function of sums over users, so its error is, to first order, a sum of one
number per user, its influence; the standard error is the root of the sum of their squares (the
delta method; Deng, Knoblich, Lu: Applying the Delta Method in Metric Analytics, KDD 2018).
"""

import numpy as np

from experiments.estimators.rankings import Reals, Sums


def influence(sums: Sums) -> Reals:
    """Returns what each user adds to the error of `sums.value()`, (U, A) float64; columns sum to 0.

    With v = sum over strata of (scale / n)(num / den): the derivative of v by each sum, times the
    user's own. NaN without requests; a stratum nobody was shown adds nothing.
    """
    numerator, denominator, scale = (
        x.sum(axis=0) for x in (sums.numerator, sums.denominator, sums.scale)
    )
    n_requests = sums.requests.sum()
    shown = np.where(denominator > 0, denominator, np.inf)
    rate = numerator / shown[:, None]  # (S, A)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = scale / n_requests
        by_rate = np.einsum("usa,s->ua", sums.numerator, share / shown)
        by_rate -= np.einsum("us,sa->ua", sums.denominator, rate * (share / shown)[:, None])
        by_scale = sums.scale @ rate / n_requests
        value = share @ rate
        total: Reals = by_rate + by_scale - np.outer(sums.requests / n_requests, value)
    return total


def lift_standard_errors(treatment: Sums, control: Sums) -> Reals:
    """Returns the standard error of treatment / control - 1 for each action, (A,) float64.

    The sums must be of the same users. NaN where the control is 0 or there are no requests.
    """
    treated, controlled = treatment.value(), control.value()
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = treated / np.where(controlled > 0, controlled, np.nan)
        errors = (influence(treatment) - ratio * influence(control)) / controlled
    total: Reals = np.sqrt(np.square(errors).sum(axis=0))
    return total
