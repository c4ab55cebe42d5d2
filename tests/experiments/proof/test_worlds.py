from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.proof.logs import act
from experiments.proof.worlds import (
    CONTROL,
    TREATMENT,
    Settings,
    Users,
    World,
    draw_users,
    draw_world,
    tastes,
)


@pytest.mark.parametrize("arm", [CONTROL, TREATMENT])
def test_value_is_that_of_a_long_simulation(world: World, crowd: Users, arm: str) -> None:
    rng, n = np.random.default_rng(3), 200_000
    query = rng.integers(world.settings.n_queries, size=n)
    day = rng.integers(world.settings.n_days, size=n)
    taste = rng.permutation(crowd.taste)
    shown = world.orders[arm][query, : world.settings.n_positions]
    actions = act(world, taste, query, day, shown, rng).sum(axis=1)
    assert abs(actions.mean() - world.value(arm)) < 4 * actions.std() / np.sqrt(n)


def test_position_based_value_is_examination_times_relevance() -> None:
    world = draw_world(Settings(), np.random.default_rng(0))
    theta = np.array([1.0, 0.6, 0.4])
    shown = np.take_along_axis(world.relevance(), world.orders[TREATMENT][:, :3], axis=1)
    assert world.value(TREATMENT) == pytest.approx((shown @ theta).mean())


@given(st.integers(0, 1000))
def test_a_mirrored_world_has_no_lift_though_the_orders_differ(seed: int) -> None:
    world = draw_world(Settings(mirrored=True), np.random.default_rng(seed))
    assert world.lift() == pytest.approx(0, abs=1e-12)
    assert (world.orders[CONTROL] != world.orders[TREATMENT]).any()


def test_without_boost_the_arms_are_one() -> None:
    world = draw_world(Settings(boost=0.0), np.random.default_rng(0))
    assert (world.orders[CONTROL] == world.orders[TREATMENT]).all()
    assert world.lift() == 0


def test_a_larger_object_effect_is_a_larger_lift() -> None:
    lifts = np.array(
        [
            [
                draw_world(Settings(object_effect=e), np.random.default_rng(i)).lift()
                for i in range(50)
            ]
            for e in (0.0, 0.05, 0.1, 0.2)
        ]
    )
    assert (np.diff(lifts, axis=0) > 0).all()
    # moving objects up costs where nobody wants them
    assert lifts[0].mean() < 0 < lifts[-1].mean()


def test_novelty_wears_off() -> None:
    world = draw_world(Settings(n_days=4, novelty=0.8), np.random.default_rng(0))
    days = [world.lift(day) for day in range(4)]
    assert days == sorted(days, reverse=True)
    assert days[-1] > world.lift(np.inf)
    assert world.value(TREATMENT) == pytest.approx(
        np.mean([world.value(TREATMENT, day) for day in range(4)])
    )


def test_ranks_are_places_in_the_order() -> None:
    world = draw_world(Settings(), np.random.default_rng(0))
    ranks = world.ranks(TREATMENT)
    for query, order in enumerate(world.orders[TREATMENT]):
        assert ranks[query, order].tolist() == [1, 2, 3, 4, 5, 6]


def test_users_differ_as_they_are_set_to(crowd: Users) -> None:
    assert crowd.taste.mean() == pytest.approx(1, abs=4 * 0.5 / np.sqrt(200_000))
    assert crowd.taste.std() == pytest.approx(0.5, rel=0.01)
    assert np.log(crowd.activity).std() == pytest.approx(0.3, rel=0.01)
    alike = draw_users(Settings(taste=0.0), 10, np.random.default_rng(0))
    assert (alike.taste == 1).all()


@given(st.floats(0.05, 0.95), st.integers(3, 5))
def test_quadrature_has_the_moments_of_the_beta_distribution(variation: float, n: int) -> None:
    nodes, share = tastes(variation, n)
    a = (1 / variation**2 - 1) / 2
    moment = 1.0
    for power in range(1, 2 * n):  # E[Beta^p] rises by (a + p - 1) / (2 a + p - 1)
        moment *= 2 * (a + power - 1) / (2 * a + power - 1)
        assert share @ nodes**power == pytest.approx(moment, rel=1e-6)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"object_effect": 0.4}, "between 0 and 0.5"),
        ({"taste": 1.0}, "below 1"),
        ({"mirrored": True, "n_queries": 3}, "even number"),
        ({"n_candidates": 2}, "as many candidates"),
    ],
)
def test_impossible_worlds_are_refused(setting: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(Settings(), **setting)  # type: ignore[arg-type]
