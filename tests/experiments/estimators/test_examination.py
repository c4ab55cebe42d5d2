from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from experiments.estimators.examination import Examination, common_curve_p_value, curve, measure

COUNTS = st.lists(st.tuples(st.integers(1, 500), st.floats(0, 1)), min_size=1, max_size=12)


def test_rates_that_fall_are_taken_as_they_are() -> None:
    found = curve(np.full(3, 100.0), np.array([40.0, 20.0, 10.0]))
    assert found == pytest.approx([1.0, 0.5, 0.25])


def test_rates_that_rise_are_pooled_by_impressions() -> None:
    # 20 of 100, then 90 of 300: together 110 of 400
    found = curve(np.array([100.0, 100.0, 300.0]), np.array([55.0, 20.0, 90.0]))
    assert found == pytest.approx([1.0, 0.5, 0.5])


def test_a_position_without_action_is_examined_like_the_least_one() -> None:
    assert curve(np.full(3, 10.0), np.array([4.0, 1.0, 0.0])).tolist() == [1.0, 0.25, 0.25]


def test_no_action_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="examination is unknown"):
        curve(np.full(3, 10.0), np.zeros(3))


@given(COUNTS)
def test_it_is_isotonic_regression(counts: list[tuple[int, float]]) -> None:
    shown = np.array([n for n, _ in counts], float)
    acted = np.maximum(np.round([n * share for n, share in counts]), 1.0)
    fit = IsotonicRegression(increasing=False).fit(range(len(shown)), acted / shown, shown)
    expected = fit.predict(range(len(shown)))
    found = curve(shown, acted)
    assert found == pytest.approx(expected / expected[0])
    assert found[0] == 1
    assert (np.diff(found) <= 1e-12).all()
    assert found.min() > 0


def test_a_planted_curve_is_found(world: Callable[..., Any], theta: np.ndarray) -> None:
    sample = world(spread=0.05).sample(np.random.default_rng(0), 60_000, 5_000)
    shown = np.bincount(sample.position)[1:].astype(float)
    acted = np.bincount(sample.position, sample.actions.any(axis=1))[1:]
    assert curve(shown, acted) == pytest.approx(theta, abs=0.02)


def test_a_platform_with_enough_requests_has_its_own_curve() -> None:
    counts = [("ios", 1, 2000, 400), ("ios", 2, 2000, 400), ("tv", 1, 10, 10), ("tv", 2, 10, 0)]
    found = measure(pd.DataFrame(counts, columns=["platform", "position", "shown", "acted"]))
    assert set(found.by_platform) == {"ios"}
    assert found.by_platform["ios"].tolist() == [1.0, 1.0]
    assert found.overall == pytest.approx([1.0, 400 / 410])
    assert found.n_impressions == 4020


def test_each_request_gets_the_curve_of_its_platform() -> None:
    found = Examination(np.array([1.0, 0.5]), {"ios": np.array([1.0, 0.9])}, 1)
    curves = found.of(np.array(["tv", "ios", "tv"]), 3)
    assert curves.tolist() == [[1.0, 0.5, 0.5], [1.0, 0.9, 0.9], [1.0, 0.5, 0.5]]
    assert found.of(np.array(["ios"]), 1).tolist() == [[1.0]]


def test_one_curve_for_all_actions_is_told_from_two() -> None:
    rng = np.random.default_rng(0)
    acted = np.array([900.0, 600.0, 400.0, 300.0])
    quiet = [
        common_curve_p_value(acted, rng.binomial(acted.astype(int)[:, None], [[0.3, 0.6]]))
        for _ in range(200)
    ]
    assert np.mean(np.array(quiet) < 0.05) < 0.1
    tilted = rng.binomial(acted.astype(int), [0.5, 0.4, 0.3, 0.2])[:, None]
    assert common_curve_p_value(acted, tilted) < 0.001
    assert common_curve_p_value(acted, np.zeros((4, 1))) == 1.0
