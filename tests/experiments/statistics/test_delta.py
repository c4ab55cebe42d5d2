from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from experiments.estimators.rankings import Sums, item_position, position_based
from experiments.statistics.bootstrap import replicate
from experiments.statistics.delta import influence, lift_standard_errors


@pytest.mark.parametrize("estimator", ["position", "item"])
def test_it_agrees_with_the_bootstrap(
    world: Callable[..., Any], theta: np.ndarray, estimator: str
) -> None:
    sample = world().sample(np.random.default_rng(1), 6_000, 800)
    curves = np.broadcast_to(theta, (sample.n_requests, len(theta)))
    sums = {
        arm: position_based(sample, arm, curves) if estimator == "position"
        else item_position(sample, arm)
        for arm in sample.ranks
    }  # fmt: skip
    found = replicate(sums, n_replicates=4_000)
    ratio = found["better"].replicates / found["random"].replicates
    errors = lift_standard_errors(sums["better"], sums["random"])
    np.testing.assert_allclose(errors, ratio.std(axis=0), rtol=0.06)


def test_influence_is_the_derivative_by_each_users_weight(rng: np.random.Generator) -> None:
    sums = Sums(
        rng.random((5, 3, 2)), rng.random((5, 3)), rng.random((5, 3)), rng.integers(1, 5, 5) + 0.0
    )

    def value(weight: np.ndarray) -> np.ndarray:
        parts = (sums.numerator, sums.denominator, sums.scale, sums.requests)
        return Sums(*(np.einsum("u,u...->u...", weight, part) for part in parts)).value()

    step = 1e-6
    numeric = [(value(1 + step * unit) - value(1 - step * unit)) / (2 * step) for unit in np.eye(5)]
    np.testing.assert_allclose(influence(sums), numeric, atol=1e-8)
    np.testing.assert_allclose(influence(sums).sum(axis=0), 0, atol=1e-12)


def test_one_request_each_of_one_stratum_is_the_textbook_error(rng: np.random.Generator) -> None:
    one = np.ones((400, 1))
    control, treatment = rng.random((2, 400)) + 0.5
    sums = [Sums(x[:, None, None], one, one, one[:, 0]) for x in (treatment, control)]
    r = treatment.mean() / control.mean()
    expected = np.std(treatment - r * control) / control.mean() / np.sqrt(400)
    assert lift_standard_errors(*sums) == pytest.approx([expected])


def test_nothing_is_known_without_a_control() -> None:
    nothing = Sums(np.zeros((2, 1, 1)), np.ones((2, 1)), np.ones((2, 1)), np.ones(2))
    assert np.isnan(lift_standard_errors(nothing, nothing)).all()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
