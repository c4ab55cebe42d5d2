"""A treatment against the control, from moments: effect, lift, their intervals, p-value.

The interval of lift is Fieller's (Some Problems in Interval Estimation, JRSS B 1954): all lifts L
that the test of treatment - (1 + L) control = 0 does not reject. So it excludes 0 exactly where
the p-value is below 1 - level. Near a control of 0 no lift can be bounded: Fieller's interval says
so (NaN here), where the delta method on the log ratio gives finite ends. With 10 of the control's
2,000 users spending lognormal amounts, the log ratio's 95 % interval missed the lift 10.1 % of the
time; Fieller's had no ends 22 % of the time and missed 2.9 %. Far from 0 both are the same.
docs/decisions/statistics.md has the table.
"""

from dataclasses import dataclass
from math import inf, nan, sqrt

import numpy as np
from scipy.special import stdtr, stdtrit

from experiments.estimators.rankings import Ints, Reals
from experiments.statistics.moments import Moments


@dataclass(frozen=True)
class Comparison:
    """A treatment against the control.

    control, treatment: the estimates, in the metric's unit; effect: treatment - control with the
    ends of its interval; lift: treatment / control - 1 with the ends of its interval; p_value:
    two-sided, of no effect; standard_error: of the effect; n_control, n_treatment: users.

    lift is NaN where the control is 0; lift_low and lift_high are NaN where the control cannot be
    told from 0, since the lift then has no bounds. With fewer than two users in a group all but
    the estimates, effect and lift are NaN.
    """

    control: float
    treatment: float
    effect: float
    effect_low: float
    effect_high: float
    lift: float
    lift_low: float
    lift_high: float
    p_value: float
    standard_error: float
    n_control: int
    n_treatment: int


def means(control: Moments, treatment: Moments, level: float = 0.95) -> Comparison:
    """Returns the comparison of two groups' means, from moments of one column.

    Welch's t-test (The Generalization of Student's Problem, Biometrika 1947): variances may
    differ. Raises ValueError where the moments are not of one column.

    >>> found = means(Moments.of([[1.0], [2.0], [3.0]]), Moments.of([[2.0], [4.0], [6.0]]))
    >>> found.effect, found.lift, round(found.p_value, 3)
    (2.0, 1.0, 0.221)
    """
    for moments in (control, treatment):
        _of_columns(moments, 1, "one column, the metric")
    covariance = np.zeros((2, 2))
    covariance[0, 0] = control.covariance_of_mean[0, 0]
    covariance[1, 1] = treatment.covariance_of_mean[0, 0]
    freedom = _welch(np.diag(covariance), np.array([control.n, treatment.n]))
    estimates = float(control.mean[0]), float(treatment.mean[0])
    return _compare(estimates, covariance, freedom, level, (control.n, treatment.n))


def ratios(control: Moments, treatment: Moments, level: float = 0.95) -> Comparison:
    """Returns the comparison of two groups' ratios, from columns numerator, denominator.

    The ratio is sum of numerators / sum of denominators, such as saves per request; its variance
    is by the delta method over users (Deng, Knoblich, Lu, KDD 2018): a user's requests may depend
    on each other, users may not. Raises ValueError where the moments are
    not of two columns.

    >>> found = ratios(Moments.of([[1, 4], [2, 4]]), Moments.of([[2, 4], [4, 4]]))
    >>> found.control, found.treatment, found.lift
    (0.375, 0.75, 1.0)
    """
    for moments in (control, treatment):
        _of_columns(moments, 2, "two columns, numerator and denominator")
    return means(control.linearised_ratios(), treatment.linearised_ratios(), level)


def paired_ratios(joint: Moments, level: float = 0.95) -> Comparison:
    """Returns the comparison of two ratios of the same users.

    joint: moments of the columns control numerator, control denominator, treatment numerator,
    treatment denominator. What the two arms share cancels through their covariance. Student's t
    with n - 1 degrees of freedom. Raises ValueError where the moments are not of four columns.
    """
    _of_columns(joint, 4, "four columns, numerator and denominator of control and treatment")
    linear = joint.linearised_ratios()
    estimates = float(linear.mean[0]), float(linear.mean[1])
    sizes = joint.n, joint.n
    return _compare(estimates, linear.covariance_of_mean, joint.n - 1, level, sizes)


def _compare(
    estimates: tuple[float, float],
    covariance: Reals,
    freedom: float,
    level: float,
    sizes: tuple[int, int],
) -> Comparison:
    """covariance (2, 2): of the estimates (control, treatment)."""
    control, treatment = estimates
    effect = treatment - control
    error = _root(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    reach = float(stdtrit(freedom, (1 + level) / 2))
    low, high = _fieller(control, treatment, covariance, reach)
    return Comparison(
        control, treatment,
        effect, effect - reach * error, effect + reach * error,
        treatment / control - 1 if control else nan, low, high,
        _p_value(effect, error, freedom), error, *sizes,
    )  # fmt: skip


def _p_value(effect: float, error: float, freedom: float) -> float:
    if effect == 0 and error == 0:
        return 1.0
    return 2 * float(stdtr(freedom, -abs(effect) / error if error else -inf))


def _fieller(
    control: float, treatment: float, covariance: Reals, reach: float
) -> tuple[float, float]:
    """The lifts between the roots of (treatment - r control)^2 = reach^2 variance, less 1."""
    (var_control, shared), (_, var_treatment) = covariance * reach**2
    square = control**2 - var_control
    if not square > 0:
        return nan, nan
    middle = (treatment * control - shared) / square
    # the discriminant without the difference of two large squares
    inner = (
        treatment**2 * var_control + control**2 * var_treatment
        - 2 * treatment * control * shared - (var_control * var_treatment - shared**2)
    )  # fmt: skip
    half = _root(inner) / square
    return middle - half - 1, middle + half - 1


def _welch(variances: Reals, sizes: Ints) -> float:
    """Degrees of freedom of Welch and Satterthwaite, variances (2,) of the means."""
    spread = float((variances**2 / np.maximum(sizes - 1, 1)).sum())
    return float(variances.sum()) ** 2 / spread if spread else inf


def _root(square: float) -> float:
    """A square that rounding made negative is 0; NaN stays NaN."""
    return sqrt(max(float(square), 0.0)) if square == square else nan


def _of_columns(moments: Moments, n_columns: int, what: str) -> None:
    if moments.mean.shape != (n_columns,):
        raise ValueError(f"Give moments of {what}; these have {len(moments.mean)}.")
