from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower, TTestIndPower

from experiments.statistics.comparison import means
from experiments.statistics.moments import Moments
from experiments.statistics.power import (
    minimum_detectable_lift,
    more_days,
    power,
    units_needed,
)


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("effect", [0.0, 0.02, -0.05, 0.1])
def test_power_is_that_of_statsmodels(effect: float, level: float) -> None:
    # two groups of 2,000 with standard deviation 1: standard error sqrt(2 / 2000)
    expected = NormalIndPower().power(abs(effect), 2_000, level)
    assert power(effect, sqrt(2 / 2_000), level) == pytest.approx(expected)


@pytest.mark.parametrize("wanted", [0.8, 0.9, 0.95])
def test_detectable_lift_and_units_are_those_of_statsmodels(wanted: float) -> None:
    error = sqrt(2 / 2_000)
    expected = NormalIndPower().solve_power(nobs1=2_000, alpha=0.05, power=wanted)
    assert minimum_detectable_lift(error, wanted) == pytest.approx(expected, rel=1e-4)
    per_group = TTestIndPower().solve_power(effect_size=0.03, alpha=0.05, power=wanted)
    found = units_needed(error, 4_000, 0.03, wanted)
    assert found == pytest.approx(2 * per_group, rel=1e-3)


@given(st.floats(1e-4, 1), st.floats(0.8, 0.99), st.floats(0.001, 0.1))
def test_the_detectable_lift_has_the_power_it_was_asked_for(
    error: float, wanted: float, level: float
) -> None:
    seen = minimum_detectable_lift(error, wanted, level)
    # wrong-direction significance adds a little
    assert power(seen, error, level) == pytest.approx(wanted, abs=5e-5)


def test_four_times_the_days_see_half_the_lift() -> None:
    seen = minimum_detectable_lift(0.01)
    assert more_days(0.01, 7, seen / 2) == 21
    assert more_days(0.01, 7, -seen / 2) == 21
    assert more_days(0.01, 7, seen * 1.01) == 0
    assert units_needed(0.01, 1_000, seen / 2) == 4_000


def test_as_many_experiments_find_the_lift_as_promised() -> None:
    rng, n, draws = np.random.default_rng(0), 400, 2_000
    error = sqrt(2 / n) / 10  # of the lift: mean 10, standard deviation 1
    lift = minimum_detectable_lift(error)
    found = 0
    for _ in range(draws):
        control, treatment = rng.normal(10, 1, (n, 1)), rng.normal(10 * (1 + lift), 1, (n, 1))
        found += means(Moments.of(control), Moments.of(treatment)).p_value < 0.05
    assert found / draws == pytest.approx(0.8, abs=4 * sqrt(0.8 * 0.2 / draws))


def test_what_has_no_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        power(0.1, 0.0)
    with pytest.raises(ValueError, match="above 0"):
        minimum_detectable_lift(float("nan"))
    with pytest.raises(ValueError, match="other than 0"):
        more_days(0.01, 7, 0.0)
