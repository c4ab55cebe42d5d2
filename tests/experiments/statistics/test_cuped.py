from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import tea_tasting as tt

from experiments.statistics import comparison, cuped
from experiments.statistics.moments import Moments

COLUMNS = ["saves", "requests", "earlier_saves", "earlier_requests"]


def users(rng: np.random.Generator, n: int, rate: float = 1.0, new: float = 0.3) -> np.ndarray:
    """Saves, requests, and both of earlier days, (n, 4); a share `new` has no earlier days."""
    liking, activity = rng.beta(2, 5, n), rng.gamma(2, 3, n)
    requests, earlier = 1 + rng.poisson(activity), rng.poisson(2 * activity)
    earlier[rng.random(n) < new] = 0
    saves = rng.binomial(requests, np.clip(liking * rate, 0, 1))
    columns = [saves, requests, rng.binomial(earlier, liking), earlier]
    return np.stack(columns, axis=1).astype(float)


def tea(metric: Any, control: np.ndarray, treatment: np.ndarray) -> Any:
    data = pd.DataFrame(np.concatenate([control, treatment]), columns=COLUMNS)
    data["variant"] = np.repeat([0, 1], [len(control), len(treatment)])
    return tt.Experiment(m=metric).analyze(data)["m"]


def test_they_are_those_of_tea_tasting() -> None:
    rng = np.random.default_rng(0)
    control, treatment = users(rng, 900), users(rng, 600, 1.1)
    one, other = (Moments.of(rows[:, [0, 2]]) for rows in (control, treatment))
    pairs = [
        (cuped.means(one, other), tt.Mean("saves", "earlier_saves")),
        (cuped.ratios(Moments.of(control), Moments.of(treatment)), tt.RatioOfMeans(*COLUMNS)),
    ]
    for found, metric in pairs:
        expected = tea(metric, control, treatment)
        assert found.control == pytest.approx(expected.control)
        assert found.treatment == pytest.approx(expected.treatment)
        assert found.effect_low == pytest.approx(expected.effect_size_ci_lower)
        assert found.effect_high == pytest.approx(expected.effect_size_ci_upper)
        assert found.p_value == pytest.approx(expected.pvalue)
        assert (found.n_control, found.n_treatment) == (900, 600)


def test_several_covariates_are_a_regression() -> None:
    rng = np.random.default_rng(1)
    earlier = rng.normal(size=(2_000, 3)) * [1, 1e6, 1e-6]  # units of very different size
    value = earlier @ [1, 1e-6, 1e6] + rng.normal(size=2_000)
    rows = np.column_stack([value, earlier])
    found = cuped.means(Moments.of(rows[:1_000]), Moments.of(rows[1_000:]))
    treated = np.repeat([0.0, 1.0], 1_000)
    fit = sm.OLS(
        value,
        np.column_stack(
            [np.ones(2_000), treated, rng.normal(size=(2_000, 0)), earlier / [1, 1e6, 1e-6]]
        ),
    ).fit()
    # theta ignores who is treated, the regression does not: 1 / n apart
    assert found.effect == pytest.approx(fit.params[1], abs=0.02 * fit.bse[1])
    assert found.standard_error == pytest.approx(fit.bse[1], rel=0.01)
    assert found.variance_reduction == pytest.approx(0.75, abs=0.03)


def test_variance_falls_by_the_squared_correlation() -> None:
    rng = np.random.default_rng(2)
    earlier = rng.normal(size=(40_000, 1))
    rows = np.concatenate([0.6 * earlier + 0.8 * rng.normal(size=(40_000, 1)), earlier], axis=1)
    found = cuped.means(Moments.of(rows[:20_000]), Moments.of(rows[20_000:]))
    assert found.variance_reduction == pytest.approx(0.36, abs=0.02)
    plain = comparison.means(Moments.of(rows[:20_000, :1]), Moments.of(rows[20_000:, :1]))
    kept = (found.standard_error / plain.standard_error) ** 2
    assert found.variance_reduction == pytest.approx(1 - kept)


def test_a_covariate_that_says_nothing_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    rows = users(rng, 400, new=1.0)  # nobody has earlier days
    one, other = rows[:200], rows[200:]
    found = cuped.ratios(Moments.of(one), Moments.of(other))
    plain = comparison.ratios(Moments.of(one[:, :2]), Moments.of(other[:, :2]))
    assert found.effect == pytest.approx(plain.effect)
    assert found.standard_error == pytest.approx(plain.standard_error)
    assert found.variance_reduction == pytest.approx(0, abs=1e-12)


def test_users_without_earlier_days_are_kept_and_not_adjusted() -> None:
    known = np.array([[1.0, 10.0], [3.0, np.nan], [np.nan, 20.0], [np.nan, np.nan]])
    assert cuped.filled(known).tolist() == [[1, 10], [3, 15], [2, 20], [2, 15]]
    assert cuped.filled(np.full((2, 1), np.nan)).tolist() == [[0], [0]]
    # a new user's covariate is the mean, so more of them leave theta as it is
    rng = np.random.default_rng(4)
    earlier = rng.normal(5, 1, (4_000, 1))
    value = 2 * earlier + rng.normal(size=(4_000, 1))
    new = rng.random(4_000) < 0.5
    filled = cuped.filled(np.where(new[:, None], np.nan, earlier))
    rows = np.concatenate([value, filled], axis=1)
    found = cuped.means(Moments.of(rows[:2_000]), Moments.of(rows[2_000:]))
    assert found.n_control == found.n_treatment == 2_000
    assert found.variance_reduction == pytest.approx(0.5 * 4 / 5, abs=0.05)


def test_intervals_cover_and_are_tighter() -> None:
    rng, draws = np.random.default_rng(5), 600
    truth = users(rng, 400_000).sum(axis=0), users(rng, 400_000, 1.1).sum(axis=0)
    effect = truth[1][0] / truth[1][1] - truth[0][0] / truth[0][1]
    covered, narrower = [], []
    for _ in range(draws):
        one, other = (Moments.of(users(rng, 400, rate, 0.1)) for rate in (1.0, 1.1))
        found = cuped.ratios(one, other)
        covered.append(found.effect_low <= effect <= found.effect_high)
        narrower.append(found.variance_reduction)
    assert np.mean(covered) == pytest.approx(0.95, abs=4 * sqrt(0.05 * 0.95 / draws))
    assert np.mean(narrower) > 0.2


def test_a_metric_alone_is_refused() -> None:
    alone = Moments.of([[1.0, 1.0], [2.0, 3.0]])
    with pytest.raises(ValueError, match="at least one covariate"):
        cuped.ratios(alone, alone)
