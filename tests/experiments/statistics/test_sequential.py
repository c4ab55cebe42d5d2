from math import exp, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from experiments.statistics.comparison import means
from experiments.statistics.moments import Moments
from experiments.statistics.sequential import interval, p_value

N_PATHS, N_LOOKS, PER_LOOK = 2_000, 80, 100
UNITS = PER_LOOK * np.arange(1, N_LOOKS + 1)


def margin(share: float, draws: int) -> float:
    return 4 * sqrt(share * (1 - share) / draws)


def paths(effect: float, skewed: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Effect and variance per unit at every look, (N_PATHS, N_LOOKS), two groups of equal size."""
    rng = np.random.default_rng(seed)
    shape = (2, N_PATHS, N_LOOKS, PER_LOOK // 2)
    values = rng.exponential(1.0, shape) if skewed else rng.normal(0.0, 1.0, shape)
    values[1] += effect
    seen = UNITS / 2
    mean = values.sum(axis=3).cumsum(axis=2) / seen
    square = np.square(values).sum(axis=3).cumsum(axis=2) / seen
    variance = (square - mean**2) * seen / (seen - 1)
    return mean[1] - mean[0], (variance / seen).sum(axis=0) * UNITS


@pytest.mark.parametrize("skewed", [False, True])
def test_peeking_at_nothing_rarely_finds_something(skewed: bool) -> None:
    effect, variance = paths(0.0, skewed, seed=0)
    low, high = interval(effect, variance, UNITS, tuned_for=UNITS[-1])
    ever = ((low > 0) | (high < 0)).any(axis=1).mean()
    assert ever <= 0.05 + margin(0.05, N_PATHS)
    assert ever >= 0.01  # it does look
    fixed = (np.abs(effect) > norm.isf(0.025) * np.sqrt(variance / UNITS)).any(axis=1).mean()
    assert fixed > 0.3
    p = p_value(effect, variance, UNITS, tuned_for=UNITS[-1])
    for level in (0.01, 0.1, 0.3):
        assert (p.min(axis=1) <= level).mean() <= level + margin(level, N_PATHS)


def test_all_looks_together_cover_a_true_effect() -> None:
    effect, variance = paths(0.2, True, seed=1)
    low, high = interval(effect, variance, UNITS, 0.9, tuned_for=1_000)
    assert ((low <= 0.2) & (high >= 0.2)).all(axis=1).mean() >= 0.9 - margin(0.9, N_PATHS)
    assert (low > 0).any(axis=1).mean() > 0.9  # and find it


@pytest.mark.parametrize(("looks", "ratio"), [(0.25, 1.66), (1.0, 1.55), (4.0, 1.60)])
def test_the_price_against_a_fixed_interval(looks: float, ratio: float) -> None:
    n = looks * 10_000
    _, high = interval(0.0, 1.0, n, tuned_for=10_000)
    assert high / (norm.isf(0.025) / sqrt(n)) == pytest.approx(ratio, abs=0.005)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_it_is_narrowest_where_it_is_tuned(level: float) -> None:
    def width(log_tuned_for: float) -> float:
        return float(interval(0.0, 1.0, 5_000, level, tuned_for=exp(log_tuned_for))[1])

    best = minimize_scalar(width, bounds=(np.log(100), np.log(1e6)), method="bounded")
    assert exp(best.x) == pytest.approx(5_000, rel=0.01)


def test_p_value_is_that_of_the_mixture_likelihood_ratio() -> None:
    # the likelihood ratio of N(theta, 1) against N(0, 1), integrated over theta ~ N(0, tau^2)
    n, mean, best = 40, 0.5, 8.0
    theta = np.linspace(-12, 12, 240_001)
    level = 1 - sqrt((best + 1) * exp(-best))  # the level whose rho^2 is best / tuned_for
    tau = sqrt(best / 40)
    weight = norm.pdf(theta, scale=tau) * np.exp(n * (theta * mean - theta**2 / 2))
    ratio = weight.sum() * (theta[1] - theta[0])
    found = p_value(mean, 1.0, n, level, tuned_for=40)
    assert found == pytest.approx(1 / ratio, rel=1e-6)


@given(st.floats(-3, 3), st.floats(0.01, 100), st.integers(1, 10**6), st.integers(1, 10**6))
def test_p_value_and_interval_say_the_same(
    effect: float, variance: float, n: int, tuned_for: int
) -> None:
    low, high = interval(effect, variance, n, tuned_for=tuned_for)
    p = float(p_value(effect, variance, n, tuned_for=tuned_for))
    assert 0 <= p <= 1
    if abs(p - 0.05) > 1e-9:
        assert (p < 0.05) == (not low <= 0 <= high)


def test_it_takes_a_comparison() -> None:
    rng = np.random.default_rng(2)
    groups = (Moments.of(rng.normal(m, 1, (500, 1))) for m in (5.0, 5.5))
    found = means(*groups)
    n = found.n_control + found.n_treatment
    low, high = interval(found.effect, n * found.standard_error**2, n, tuned_for=n)
    assert 0 < low < found.effect_low < found.effect_high < high
    ratio = (high - low) / (found.effect_high - found.effect_low)
    assert ratio == pytest.approx(1.548, abs=0.005)


def test_before_the_first_unit_everything_is_possible() -> None:
    low, high = interval(0.0, 1.0, 0, tuned_for=100)
    assert (low, high) == (-np.inf, np.inf)
    assert p_value(0.0, 1.0, 0, tuned_for=100) == 1
    assert p_value(0.0, 0.0, 50, tuned_for=100) == 1


def test_tuning_for_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        interval(0.0, 1.0, 10, tuned_for=0)
