from dataclasses import replace

import numpy as np
import pytest

from experiments import checks
from experiments.estimators.rankings import item_position, position_based
from experiments.proof.logs import draw_log
from experiments.proof.worlds import CONTROL, TREATMENT, Settings, World, draw_users, draw_world


@pytest.mark.parametrize("sharpness", [0.0, 1.0])
def test_propensities_are_those_of_the_pages(world: World, sharpness: float) -> None:
    # over requests, 1 / propensity of the arm's pins at their positions averages to 1
    rng = np.random.default_rng(0)
    log = draw_log(world, draw_users(world.settings, 500, rng), 100_000, sharpness, rng)
    for weight in (log.target(TREATMENT) / log.marginal).T:
        assert abs(weight.mean() - 1) < 4 * weight.std() / np.sqrt(len(weight))
    whole = (log.target(TREATMENT) / log.conditional).prod(axis=1)
    assert abs(whole.mean() - 1) < 4 * whole.std() / np.sqrt(len(whole))


def test_random_order_passes_the_checks_of_the_harness() -> None:
    rng = np.random.default_rng(1)
    world = draw_world(Settings(), rng)
    sample = draw_log(world, draw_users(world.settings, 2_000, rng), 20_000, 0.0, rng).sample()
    assert sample.propensity == pytest.approx(np.full(60_000, 1 / 6))
    theta = np.tile([1.0, 0.6, 0.4], (20_000, 1))
    for arm in (CONTROL, TREATMENT):
        assert checks.random_order(sample, arm).passed
        assert checks.weights_average_one(sample, arm, theta).passed


def test_sharp_logging_fails_them() -> None:
    rng = np.random.default_rng(2)
    world = draw_world(Settings(), rng)
    sample = draw_log(world, draw_users(world.settings, 2_000, rng), 20_000, 2.0, rng).sample()
    assert not checks.random_order(sample, CONTROL).passed


def test_both_estimators_find_the_truth_of_a_position_based_world() -> None:
    rng, n = np.random.default_rng(3), 300_000
    world = draw_world(Settings(n_days=2, novelty=0.5), rng)
    users = draw_users(replace(world.settings, activity=0.2), 60_000, rng)
    sample = draw_log(world, users, n, 0.0, rng).sample()
    theta = np.tile([1.0, 0.6, 0.4], (n, 1))
    for arm in (CONTROL, TREATMENT):
        for sums in (item_position(sample, arm), position_based(sample, arm, theta)):
            assert sums.value()[0] == pytest.approx(world.value(arm), rel=0.02)


def test_users_are_numbered_without_gaps() -> None:
    rng = np.random.default_rng(4)
    world = draw_world(Settings(), rng)
    sample = draw_log(world, draw_users(world.settings, 5_000, rng), 500, 0.0, rng).sample()
    assert np.unique(sample.user).tolist() == list(range(sample.n_users))
    assert sample.n_users < 500
