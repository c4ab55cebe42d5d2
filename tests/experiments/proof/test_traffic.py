import numpy as np
import pytest

from experiments.proof.traffic import UserSums, interleaved, split
from experiments.proof.worlds import TREATMENT, Settings, Users, World, draw_users, draw_world


def ratio(sums: UserSums, arm: int) -> tuple[float, float]:
    """Actions per request and its standard error by the delta method."""
    actions, requests, *_ = sums.of(arm).T
    value = actions.sum() / requests.sum()
    return value, np.sqrt(np.square(actions - value * requests).sum()) / requests.sum()


def test_each_arm_earns_its_value(world: World, crowd: Users) -> None:
    sums = split(world, crowd, 300_000, np.random.default_rng(0))
    for arm, name in enumerate(("control", "treatment")):
        value, error = ratio(sums, arm)
        assert abs(value - world.value(name)) < 4 * error
    earlier = sums.earlier_actions.sum() / sums.earlier_requests.sum()
    assert earlier == pytest.approx(world.value("control"), rel=0.02)


def test_users_stay_in_one_arm_and_earlier_days_tell_of_them() -> None:
    rng = np.random.default_rng(1)
    world = draw_world(Settings(), rng)
    sums = split(world, draw_users(world.settings, 2_000, rng), 60_000, rng)
    assert len(sums.arm) <= 2_000
    assert sums.requests.min() >= 1
    assert sums.requests.sum() == 60_000
    assert np.corrcoef(sums.requests, sums.earlier_requests)[0, 1] > 0.8
    often = (sums.requests > 20) & (sums.earlier_requests > 20)
    now, before = (
        n[often] / d[often]
        for n, d in (
            (sums.actions, sums.requests),
            (sums.earlier_actions, sums.earlier_requests),
        )
    )
    assert np.corrcoef(now, before)[0, 1] > 0.5


def test_shares_are_those_asked_for() -> None:
    rng, n = np.random.default_rng(2), 100_000
    world = draw_world(Settings(), rng)
    users = Users(np.ones(n), np.ones(n))
    sums = split(world, users, 400_000, rng, ("control", "treatment"), (0.49, 0.51))
    share = (sums.arm == 0).mean()
    assert abs(share - 0.49) < 4 * np.sqrt(0.25 / len(sums.arm))


def test_several_arms_may_share_an_order() -> None:
    rng = np.random.default_rng(3)
    world = draw_world(Settings(), rng)
    users = draw_users(world.settings, 30_000, rng)
    arms = ("control", "control", TREATMENT)
    sums = split(world, users, 200_000, rng, arms, (0.4, 0.3, 0.3))
    (one, e1), (two, e2), (other, _) = (ratio(sums, arm) for arm in range(3))
    assert abs(one - two) < 4 * np.hypot(e1, e2) < other - one


def test_interleaving_prefers_the_arm_that_earns_more() -> None:
    rng = np.random.default_rng(4)
    world = draw_world(Settings(object_effect=0.2), rng)
    credit, user = interleaved(world, draw_users(world.settings, 500, rng), 5_000, rng)
    assert len(credit) == len(user) == 5_000
    assert credit.mean() > 4 * credit.std() / np.sqrt(5_000)


def test_interleaving_prefers_neither_of_two_that_earn_the_same(
    mirrored: World, crowd: Users
) -> None:
    credit, user = interleaved(mirrored, crowd, 200_000, np.random.default_rng(5))
    totals = np.bincount(user, credit)
    assert abs(credit.sum()) < 4 * np.sqrt(np.square(totals).sum())
