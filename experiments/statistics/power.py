"""How small a lift an experiment can see, and how much longer it must run to see a smaller one.

Everything follows from the standard error of the lift, by the normal approximation to a two-sided
test (Cohen, Statistical Power Analysis, 1988, ch. 2). More data is assumed to shrink it as the
square root: with four times the users half of it remains. Days obey that only while each day
brings new users of the same kind. Returning users make it optimistic: a user's days depend on each
other, so the tenth day of the same people adds less than the first.
"""

from math import ceil

from scipy.stats import norm


def power(lift: float, standard_error: float, level: float = 0.05) -> float:
    """Returns how likely a true lift is found significant at the level, in either direction.

    lift and standard_error are shares (0.04 is +4 %). Raises ValueError where the standard error
    is not above 0.

    >>> round(power(0.028, 0.01), 3), round(power(0.0, 0.01), 3)
    (0.8, 0.05)
    """
    distance, edge = abs(lift) / _positive(standard_error), norm.isf(level / 2)
    return float(norm.sf(edge - distance) + norm.sf(edge + distance))


def minimum_detectable_lift(
    standard_error: float, power: float = 0.8, level: float = 0.05
) -> float:
    """Returns the lift above 0 that is found significant with the given power, a share.

    (z of 1 - level / 2 + z of power) times the standard error of the lift; 2.80 times for 80 %.
    Leaves out significance in the wrong direction (1e-6 at these defaults). Raises ValueError
    where the standard error is not above 0.

    >>> round(minimum_detectable_lift(0.01), 4)
    0.028
    """
    return float((norm.isf(level / 2) + norm.ppf(power)) * _positive(standard_error))


def units_needed(
    standard_error: float, n_units: int, lift: float, power: float = 0.8, level: float = 0.05
) -> int:
    """Returns how many units (users of all groups) would find the lift with the given power.

    standard_error: of the lift, with n_units units; the groups keep their shares. Raises
    ValueError where the standard error is not above 0 or the lift is 0.

    >>> units_needed(0.01, 10_000, 0.014)
    40046
    """
    if not lift:
        raise ValueError("Ask for a lift other than 0: no number of users can find that.")
    seen = minimum_detectable_lift(standard_error, power, level)
    return ceil(n_units * (seen / lift) ** 2)


def more_days(
    standard_error: float, n_days: int, lift: float, power: float = 0.8, level: float = 0.05
) -> int:
    """Returns how many days beyond n_days would find the lift; 0 where n_days are enough.

    standard_error: of the lift, over n_days. By the square-root law, so a lower bound where the
    same users come back. Raises ValueError where the standard error is not above 0 or the lift
    is 0.

    >>> more_days(0.01, 4, 0.014), more_days(0.01, 4, 0.04)
    (13, 0)
    """
    return max(0, units_needed(standard_error, n_days, lift, power, level) - n_days)


def _positive(standard_error: float) -> float:
    if not standard_error > 0:
        raise ValueError("Give a standard error above 0; without noise there is no power to ask.")
    return standard_error
