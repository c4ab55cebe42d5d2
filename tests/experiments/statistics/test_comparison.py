from math import isnan, sqrt
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tea_tasting as tt
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from experiments.statistics.comparison import Comparison, means, paired_ratios, ratios
from experiments.statistics.moments import Moments


def users(seed: int, n: int, rate: float = 0.2) -> np.ndarray:
    """Saves and requests of n users; those with many requests save more of them."""
    rng = np.random.default_rng(seed)
    requests = 1 + rng.negative_binomial(1, 0.25, n)
    own = np.clip(rng.beta(2, 8, n) * rate / 0.2 + 0.005 * requests, 0, 1)
    return np.stack([rng.binomial(requests, own), requests], axis=1).astype(float)


def tea(metric: Any, control: np.ndarray, treatment: np.ndarray) -> Any:
    rows = np.concatenate([control, treatment])
    variant = np.repeat([0, 1], [len(control), len(treatment)])
    data = pd.DataFrame({"saves": rows[:, 0], "requests": rows[:, 1], "variant": variant})
    return tt.Experiment(m=metric).analyze(data)["m"]


def agrees(found: Comparison, expected: Any) -> None:
    assert found.control == pytest.approx(expected.control)
    assert found.treatment == pytest.approx(expected.treatment)
    assert found.effect == pytest.approx(expected.effect_size)
    assert found.effect_low == pytest.approx(expected.effect_size_ci_lower)
    assert found.effect_high == pytest.approx(expected.effect_size_ci_upper)
    assert found.lift == pytest.approx(expected.rel_effect_size)
    assert found.p_value == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_means_are_those_of_scipy(level: float) -> None:
    rng = np.random.default_rng(0)
    control, treatment = rng.gamma(2, 1, (60, 1)), rng.gamma(3, 2, (25, 1))
    found = means(Moments.of(control), Moments.of(treatment), level)
    expected = ttest_ind(treatment[:, 0], control[:, 0], equal_var=False)
    interval = expected.confidence_interval(level)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.effect_low, found.effect_high) == pytest.approx((interval.low, interval.high))
    assert (found.n_control, found.n_treatment) == (60, 25)


def test_means_and_ratios_are_those_of_tea_tasting() -> None:
    control, treatment = users(1, 700), users(2, 500, 0.25)
    found = means(Moments.of(control[:, :1]), Moments.of(treatment[:, :1]))
    agrees(found, tea(tt.Mean("saves"), control, treatment))
    found = ratios(Moments.of(control), Moments.of(treatment))
    agrees(found, tea(tt.RatioOfMeans("saves", "requests"), control, treatment))


def test_lift_far_from_zero_is_that_of_the_log_ratio() -> None:
    control, treatment = users(3, 40_000), users(4, 40_000, 0.22)
    found = ratios(Moments.of(control), Moments.of(treatment))
    other = tea(tt.RatioOfMeans("saves", "requests"), control, treatment)
    width = found.lift_high - found.lift_low
    assert found.lift_low == pytest.approx(other.rel_effect_size_ci_lower, abs=0.02 * width)
    assert found.lift_high == pytest.approx(other.rel_effect_size_ci_upper, abs=0.02 * width)


def test_the_ends_of_lift_are_lifts_that_the_test_barely_rejects() -> None:
    control, treatment = Moments.of_summary(50, 2.0, 3.0), Moments.of_summary(80, 3.0, 5.0)
    found = means(control, treatment)
    reach = (found.effect_high - found.effect) / found.standard_error
    for lift in (found.lift_low, found.lift_high):
        distance = 3.0 - (1 + lift) * 2.0
        error = sqrt(5.0 / 80 + (1 + lift) ** 2 * 3.0 / 50)
        assert abs(distance) / error == pytest.approx(reach)


def test_the_same_holds_where_arms_share_users() -> None:
    rows = both_arms(14, 12)
    joint = Moments.of(rows)
    found = paired_ratios(joint)
    reach = (found.effect_high - found.effect) / found.standard_error
    for lift in (found.lift_low, found.lift_high):
        linear = joint.linearised_ratios()
        distance = linear.affine(np.array([[-1 - lift, 1.0]]), np.zeros(1))
        error = sqrt(distance.covariance_of_mean[0, 0])
        assert abs(distance.mean[0]) / error == pytest.approx(reach)


@given(
    st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0.01, 100), st.floats(0.01, 100),
    st.integers(3, 500), st.integers(3, 500),
)  # fmt: skip
def test_p_value_effect_and_lift_say_the_same(
    mean: float, other: float, variance: float, spread: float, n: int, m: int
) -> None:
    found = means(Moments.of_summary(n, mean, variance), Moments.of_summary(m, other, spread))
    if abs(found.p_value - 0.05) < 1e-6:
        return
    significant = found.p_value < 0.05
    assert significant == (not found.effect_low <= 0 <= found.effect_high)
    if isnan(found.lift_low):
        # the control itself cannot be told from 0
        reach = (found.effect_high - found.effect) / found.standard_error
        assert mean <= reach * sqrt(variance / n) * (1 + 1e-9)
    else:
        assert significant == (not found.lift_low <= 0 <= found.lift_high)
        assert found.lift_low <= found.lift <= found.lift_high


def covers(found: Comparison, lift: float) -> bool:
    return isnan(found.lift_low) or found.lift_low <= lift <= found.lift_high


@pytest.mark.parametrize(("acting", "share_unbounded"), [(3, 0.645), (10, 0.010), (50, 0.0)])
def test_lift_is_covered_near_a_control_of_zero(acting: int, share_unbounded: float) -> None:
    rng, n, draws = np.random.default_rng(5), 2_000, 2_500
    found = []
    for p, q in rng.binomial(n, [acting / n, 1.5 * acting / n], (draws, 2)) / n:
        groups = (Moments.of_summary(n, x, x * (1 - x) * n / (n - 1)) for x in (p, q))
        found.append(means(*groups))
    # 4 standard errors of a share of 2,500 draws, and half a point for what normality costs
    assert np.mean([covers(x, 0.5) for x in found]) >= 0.95 - 0.0174 - 0.005
    unbounded = np.mean([isnan(x.lift_low) for x in found])
    margin = 4 * sqrt(share_unbounded * (1 - share_unbounded) / draws)
    assert unbounded == pytest.approx(share_unbounded, abs=margin + 0.002)


def test_the_log_ratio_misses_skewed_amounts_more_often() -> None:
    # 10 of 2,000 users act, by lognormal amounts, in both groups
    rng, draws = np.random.default_rng(15), 1_500
    fieller, log_ratio = [], []
    for n_control, n_treatment in rng.binomial(2_000, 0.005, (draws, 2)):
        groups = []
        for acting in (n_control, n_treatment):
            amounts = np.zeros((2_000, 1))
            amounts[:acting, 0] = rng.lognormal(3, 1, acting)
            groups.append(Moments.of(amounts))
        fieller.append(covers(means(*groups), 0.0))
        spread = sum(x.covariance_of_mean[0, 0] / x.mean[0] ** 2 for x in groups if x.mean[0])
        log_ratio.append(abs(np.log(groups[1].mean[0] / groups[0].mean[0])) <= 1.96 * sqrt(spread))
    margin = 4 * sqrt(0.05 * 0.95 / draws)
    assert np.mean(fieller) >= 0.95 - margin
    assert np.mean(log_ratio) < 0.95 - margin


def test_ratio_intervals_cover_and_users_are_the_units() -> None:
    # two groups of one population: every alarm is false
    population, rng = users(6, 200_000), np.random.default_rng(7)
    covered, naive = [], []
    for _ in range(1_500):
        a, b = population[rng.integers(0, len(population), (2, 400))]
        found = ratios(Moments.of(a), Moments.of(b))
        covered.append(found.effect_low <= 0 <= found.effect_high)
        rates = found.control, found.treatment
        errors = [p * (1 - p) / x[:, 1].sum() for p, x in zip(rates, (a, b), strict=True)]
        naive.append(abs(found.effect) <= 1.96 * sqrt(sum(errors)))
    margin = 4 * sqrt(0.05 * 0.95 / 1_500)
    assert np.mean(covered) == pytest.approx(0.95, abs=margin)
    assert np.mean(naive) < 0.95 - margin  # requests as units are too sure


def both_arms(seed: int, n: int) -> np.ndarray:
    """Weighted saves and weights of the same users under two arms that agree in most."""
    rng = np.random.default_rng(seed)
    requests = 1 + rng.poisson(4, n)
    liking = rng.beta(2, 6, n)
    shared, mine, other = (rng.binomial(requests, p * liking) for p in (0.8, 0.15, 0.2))
    weights = requests + rng.uniform(0, 0.5, (2, n))
    return np.stack([shared + mine, weights[0], shared + other, weights[1]], axis=1)


def test_paired_ratios_are_those_of_a_bootstrap_over_users() -> None:
    rows = both_arms(8, 3_000)
    found = paired_ratios(Moments.of(rows))
    weights = np.random.default_rng(9).multinomial(3_000, np.full(3_000, 1 / 3_000), 4_000)
    c, d, t, e = (weights @ rows).T
    effects, lifts = t / e - c / d, (t / e) / (c / d) - 1
    # the standard error of 4,000 replicates is itself known to about 1.1 %
    assert found.standard_error == pytest.approx(effects.std(), rel=0.045)
    width = found.lift_high - found.lift_low
    assert found.lift_low == pytest.approx(np.quantile(lifts, 0.025), abs=0.06 * width)
    assert found.lift_high == pytest.approx(np.quantile(lifts, 0.975), abs=0.06 * width)
    assert found.n_control == found.n_treatment == 3_000


def test_what_arms_share_cancels() -> None:
    rows = both_arms(10, 2_000)
    paired = paired_ratios(Moments.of(rows))
    apart = ratios(Moments.of(rows[:, :2]), Moments.of(rows[:, 2:]))
    assert paired.effect == apart.effect
    assert paired.standard_error < 0.7 * apart.standard_error
    mixed = np.concatenate([rows[:, :2], np.random.default_rng(11).permutation(rows[:, 2:])], 1)
    unrelated = paired_ratios(Moments.of(mixed))
    assert unrelated.standard_error == pytest.approx(apart.standard_error, rel=0.05)


def test_paired_intervals_cover() -> None:
    truth = both_arms(12, 400_000).sum(axis=0)
    lift = (truth[2] / truth[3]) / (truth[0] / truth[1]) - 1
    found = [paired_ratios(Moments.of(both_arms(1_000 + i, 300))) for i in range(1_500)]
    covered = np.mean([covers(x, lift) for x in found])
    assert covered == pytest.approx(0.95, abs=4 * sqrt(0.05 * 0.95 / 1_500))


def test_the_same_arm_twice_has_no_effect() -> None:
    rows = users(13, 200)
    found = paired_ratios(Moments.of(np.concatenate([rows, rows], axis=1)))
    assert (found.effect, found.lift, found.p_value) == (0.0, 0.0, 1.0)
    assert found.effect_low == pytest.approx(0, abs=1e-8)
    assert found.lift_high == pytest.approx(0, abs=1e-7)


def test_nothing_is_claimed_without_data() -> None:
    one, none = Moments.of([[1.0]]), Moments.of_summary(100, 0.0, 0.0)
    alone = means(one, one)
    assert isnan(alone.p_value)
    assert isnan(alone.effect_low)
    assert isnan(alone.lift_low)
    some = Moments.of_summary(100, 0.5, 0.25)
    zero = means(none, some)
    assert zero.p_value < 0.001
    assert isnan(zero.lift)
    assert isnan(zero.lift_high)
    assert means(none, none).p_value == 1
    assert means(some, none).lift == -1


def test_moments_of_other_columns_are_refused() -> None:
    one, two = Moments.of([[1.0], [2.0]]), Moments.of([[1.0, 1.0], [2.0, 1.0]])
    with pytest.raises(ValueError, match="one column"):
        means(two, two)
    with pytest.raises(ValueError, match="numerator and denominator; these have 1"):
        ratios(one, one)
    with pytest.raises(ValueError, match="four columns"):
        paired_ratios(two)
