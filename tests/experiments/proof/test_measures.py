import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from experiments.proof.measures import (
    alarms,
    coverage,
    error,
    groups,
    power,
    requests_for_power,
    share,
)


@given(st.integers(1, 500), st.data())
def test_share_has_the_wilson_interval(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    found = share(k, n)
    assert (found.low, found.high) == pytest.approx(
        proportion_confint(k, n, method="wilson"), abs=1e-9
    )
    assert found.low <= found.value + 1e-12
    assert found.value <= found.high + 1e-12


def test_coverage_by_hand() -> None:
    rows = pd.DataFrame(
        {
            "truth": [1.0, 1.0, 1.0, 1.0, 1.0],
            "low": [0.5, 1.1, 0.2, 0.0, np.nan],
            "high": [1.5, 2.1, 0.9, 2.0, np.nan],
        }
    )
    found = coverage(rows)
    assert (found.share.k, found.share.n, found.n_open) == (2, 4, 1)
    assert (found.too_high, found.too_low, found.width) == (0.25, 0.25, 1.0)


def test_a_missing_p_value_is_no_alarm() -> None:
    found = alarms(pd.DataFrame({"p_value": [0.01, 0.04, 0.05, np.nan]}))
    assert (found.k, found.n) == (2, 4)


def two_logs(bias: np.ndarray, noise: float, seed: int = 0) -> pd.DataFrame:
    """Errors of two logs of each world, around the world's bias, of a truth of 2."""
    rng, n = np.random.default_rng(seed), len(bias)
    errors = np.concatenate([bias + rng.normal(0, noise, n) for _ in range(2)])
    return pd.DataFrame(
        {
            "seed": np.tile(np.arange(n), 2),
            "quantity": np.repeat(["first log", "second log"], n),
            "truth": 2.0,
            "value": 2.0 * (1 + errors),
        }
    )


def test_bias_is_told_from_noise() -> None:
    n = 400
    plain, same = error(two_logs(np.zeros(n), 0.1)), error(two_logs(np.full(n, 0.1), 0.1))
    mixed = error(two_logs(np.where(np.arange(n) % 2, 0.1, -0.1), 0.1))
    slight = error(two_logs(np.full(n, 0.02), 0.1))
    assert [of.biased for of in (plain, same, mixed, slight)] == [False, True, True, False]
    assert same.bias == pytest.approx(0.1, abs=4 * 0.1 / np.sqrt(2 * n))
    assert mixed.bias == pytest.approx(0, abs=4 * 0.1 / np.sqrt(2 * n))
    assert mixed.by_world == pytest.approx(0.1, rel=0.15)
    assert plain.rmse == pytest.approx(0.1, rel=0.1)
    assert same.rmse == pytest.approx(0.1 * np.sqrt(2), rel=0.1)


def test_without_bias_it_is_hardly_ever_called_so() -> None:
    called = [error(two_logs(np.zeros(50), 0.1, seed)).biased for seed in range(100)]
    assert np.mean(called) < 0.0013 + 4 * np.sqrt(0.0013 / 100)


def test_undefined_estimates_are_counted_and_left_out() -> None:
    rows = two_logs(np.full(10, 0.1), 0.01)
    rows.loc[0, "value"] = np.nan
    found = error(rows)
    assert found.n_undefined == 1
    assert found.bias == pytest.approx(0.1, abs=0.02)
    rows["value"] = np.nan
    assert np.isnan(error(rows).rmse)


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=5))
def test_power_is_reached_between_the_sizes_around_it(line: list[float]) -> None:
    sizes = [10 * 4**k for k in range(len(line))]
    needed = requests_for_power(pd.Series(sorted(line), index=sizes))
    above = [n for n, p in zip(sizes, sorted(line), strict=True) if p >= 0.8]
    below = [n for n, p in zip(sizes, sorted(line), strict=True) if p < 0.8]
    assert needed <= min(above, default=np.inf) * (1 + 1e-9)
    assert needed >= max(below, default=0) * (1 - 1e-9)


def test_power_is_that_of_worlds_with_a_lift() -> None:
    rows = pd.DataFrame(
        [
            ("sensitivity", world, "A/B", n, p)
            for world, n, p in (
                ("large", 10, 0.5), ("large", 10, 0.01), ("large", 40, 0.01), ("no lift", 40, 0.9)
            )
        ],
        columns=["study", "world", "estimator", "n_requests", "p_value"],
    )  # fmt: skip
    assert power(rows)["A/B"].to_dict() == {10: 0.5, 40: 1.0}


def test_groups_come_in_order_of_appearance() -> None:
    rows = pd.DataFrame({"a": ["x", "b", "x"], "n": [1, 2, 3]})
    assert [(key, len(some)) for key, some in groups(rows, "a")] == [(("x",), 2), (("b",), 1)]
