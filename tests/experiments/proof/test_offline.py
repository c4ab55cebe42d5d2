from dataclasses import replace

import numpy as np
import pytest

from experiments.estimators.pages import Pages, independent_ips
from experiments.estimators.rankings import item_position
from experiments.proof.logs import Log, draw_log
from experiments.proof.offline import (
    bootstrapped,
    estimates,
    linearised,
    measured_examination,
    rankings,
)
from experiments.proof.worlds import CONTROL, TREATMENT, Settings, World, draw_users, draw_world

THETA = np.array([1.0, 0.6, 0.4])


def drawn(
    n_requests: int, sharpness: float = 0.0, settings: Settings | None = None, seed: int = 0
) -> tuple[World, Log]:
    rng = np.random.default_rng(seed)
    world = draw_world(settings or Settings(), rng)
    users = draw_users(replace(world.settings, activity=0.3), n_requests // 4, rng)
    return world, draw_log(world, users, n_requests, sharpness, rng)


@pytest.mark.parametrize("sharpness", [0.0, 1.0])
def test_every_estimator_finds_the_truth_of_a_position_based_world(sharpness: float) -> None:
    world, log = drawn(120_000, sharpness)
    for name, found in estimates(log, THETA).items():
        if name != "direct_method":  # its standard error does not know the model's
            assert abs(found.value - world.value(TREATMENT)) < 4 * found.standard_error, name
        assert found.value == pytest.approx(world.value(TREATMENT), rel=0.12), name


def test_per_impression_times_positions_is_per_request() -> None:
    _, log = drawn(3_000)
    pages = Pages(
        user=log.user, request=np.repeat(np.arange(3_000), 3),
        position=np.tile([1, 2, 3], 3_000), reward=log.acted.ravel().astype(float),
        target=log.target(TREATMENT).ravel(), logged=log.marginal.ravel(),
    )  # fmt: skip
    one, other = estimates(log, THETA)["ips"], independent_ips(pages)
    assert one.value == pytest.approx(other.value)
    assert (one.low, one.high) == pytest.approx((other.low, other.high), rel=1e-3)


def test_both_intervals_of_a_lift_are_about_one_estimate() -> None:
    _, log = drawn(8_000)
    sums = rankings(log, THETA)
    bootstrap, delta = bootstrapped(sums, 0)["snips_position_based"], linearised(sums)
    assert bootstrap.lift == pytest.approx(delta.lift)
    assert bootstrap.high - bootstrap.low == pytest.approx(
        delta.lift_high - delta.lift_low, rel=0.1
    )
    sample = log.sample()
    assert sums["snips_item_position", CONTROL].value() == pytest.approx(
        item_position(sample, CONTROL).value()
    )


def test_reward_model_of_a_user_does_not_know_the_user() -> None:
    # of two users one acts on everything, the other on nothing: each is predicted by the other
    _, log = drawn(2_000)
    user = np.arange(2_000) % 2
    log = replace(log, user=user, acted=np.repeat(user[:, None] == 1, 3, axis=1))
    found = estimates(log, THETA)["direct_method"]
    assert found.value == pytest.approx(3 / 2, rel=0.01)
    eager = log.user == 1
    columns = ("user", "query", "day", "shown", "acted", "marginal", "conditional")
    alone = replace(log, **{name: getattr(log, name)[eager] for name in columns})
    assert estimates(alone, THETA)["direct_method"].value == 0


def test_examination_is_measured_where_order_is_random() -> None:
    rng = np.random.default_rng(1)
    world = draw_world(Settings(), rng)
    users = draw_users(world.settings, 40_000, rng)
    measured = measured_examination(world, users, 200_000, rng)
    assert measured == pytest.approx(THETA, rel=0.04)


def test_a_log_without_a_matching_page_supports_nothing() -> None:
    _, log = drawn(100)
    wrong = log.world.orders[TREATMENT][log.query, ::-1][:, :3]
    missing = replace(log, shown=wrong)
    found = estimates(missing, THETA)
    assert np.isnan(found["snips"].value)
    assert np.isnan(found["reward_interaction_ips, self-normalised"].value)
    assert found["ips"].value == 0
