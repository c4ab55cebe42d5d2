from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from experiments.estimators.rankings import Sample, Sums, item_position, position_based
from experiments.statistics import bootstrap
from experiments.statistics.bootstrap import Replicates, lift, replicate, two_sided_p_value

World = Callable[..., Any]


def sums_of(sample: Sample, theta: np.ndarray) -> dict[tuple[str, str], Sums]:
    curves = np.tile(theta, (sample.n_requests, 1))
    found = {(arm, "item"): item_position(sample, arm) for arm in sample.ranks}
    return found | {(arm, "model"): position_based(sample, arm, curves) for arm in sample.ranks}


def lifts_of(sample: Sample, theta: np.ndarray, n: int = 400, seed: int = 0) -> Any:
    found = replicate(sums_of(sample, theta), n, seed)
    return {how: lift(found["better", how], found["random", how]) for how in ("item", "model")}


def test_the_same_ranking_has_a_lift_of_exactly_nothing(world: World, theta: np.ndarray) -> None:
    sample = world().sample(np.random.default_rng(0), 300, 50)
    sample = replace(sample, ranks=dict.fromkeys(("better", "random"), sample.ranks["better"]))
    for found in lifts_of(sample, theta).values():
        for action in found:
            assert (action.lift, action.low, action.high, action.p_value) == (0.0, 0.0, 0.0, 1.0)
            assert action.treatment == action.control > 0


def test_the_seed_decides_the_replicates(world: World, theta: np.ndarray) -> None:
    sample = world().sample(np.random.default_rng(1), 300, 50)
    assert lifts_of(sample, theta) == lifts_of(sample, theta)
    assert lifts_of(sample, theta) != lifts_of(sample, theta, seed=1)


def test_spread_agrees_with_the_delta_method(world: World, theta: np.ndarray) -> None:
    sample = world().sample(np.random.default_rng(2), 4_000, 800)
    sums = sums_of(sample, theta)
    found = replicate(sums, 2_000)
    treatment, control = found["better", "model"], found["random", "model"]
    lifts = treatment.replicates / control.replicates - 1
    # linearised log of (numerator / denominator): one term per user and arm
    terms = []
    for arm in ("better", "random"):
        s = sums[arm, "model"]
        n, d = s.numerator[:, 0, :], s.denominator
        terms.append(n / n.sum(axis=0) - d / d.sum(axis=0))
    ratio = treatment.value / control.value
    expected = ratio * np.sqrt(np.square(terms[0] - terms[1]).sum(axis=0))
    assert lifts.std(axis=0) == pytest.approx(expected, rel=0.08)
    assert lifts.mean(axis=0) == pytest.approx(ratio - 1, abs=0.2 * expected.max())
    centre = lift(treatment, control)[0]
    assert centre.high - centre.low == pytest.approx(2 * 1.96 * expected[0], rel=0.1)


def test_users_matter_not_requests(world: World, theta: np.ndarray) -> None:
    # every request made twice by the same user: twice the rows, no more knowledge
    once = world().sample(np.random.default_rng(3), 1_500, 300)
    rows = np.concatenate([np.arange(len(once.request))] * 2)
    twice = Sample(
        np.tile(once.user, 2), np.tile(once.page, 2),
        np.concatenate([once.request, once.request + once.n_requests]),
        once.position[rows], once.propensity[rows], once.actions[rows],
        {arm: rank[rows] for arm, rank in once.ranks.items()},
    )  # fmt: skip
    one, two = lifts_of(once, theta)["model"][0], lifts_of(twice, theta)["model"][0]
    assert two.lift == pytest.approx(one.lift)
    assert (two.low, two.high) == pytest.approx((one.low, one.high))


def test_users_are_taken_in_blocks(
    world: World, theta: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = world().sample(np.random.default_rng(4), 2_000, 400)
    whole = lifts_of(sample, theta, 1_000)["model"][0]
    monkeypatch.setattr(bootstrap, "USERS_AT_ONCE", 64)
    blocks = lifts_of(sample, theta, 1_000)["model"][0]
    assert blocks.lift == whole.lift
    assert blocks.high - blocks.low == pytest.approx(whole.high - whole.low, rel=0.15)


@pytest.mark.parametrize("spread", [0.2, 0.0])
def test_intervals_cover_as_often_as_they_claim(
    world: World, theta: np.ndarray, spread: float
) -> None:
    # spread 0: all candidates are alike, so no ranking beats another and every alarm is false
    truth = world(spread=spread)
    expected = truth.truth("better")[0] / truth.truth("random")[0] - 1
    rng, covered, alarms, found = np.random.default_rng(5), [], [], []
    for _ in range(200):
        for one in lifts_of(truth.sample(rng, 600, 150), theta, 200).values():
            covered.append(one[0].low <= expected <= one[0].high)
            alarms.append(one[0].p_value < 0.05)
            found.append(one[0].lift)
    assert 0.91 <= np.mean(covered) <= 0.98
    assert np.median(found) == pytest.approx(expected, abs=0.03)
    if not spread:
        assert expected == pytest.approx(0)
        assert 0.02 <= np.mean(alarms) <= 0.09


def test_p_value_and_interval_say_the_same(world: World, theta: np.ndarray) -> None:
    rng, truth = np.random.default_rng(6), world(spread=0.1)
    for _ in range(30):
        one = lifts_of(truth.sample(rng, 500, 100), theta, 400)["model"][0]
        if abs(one.p_value - 0.05) > 0.01:
            assert (one.p_value < 0.05) == (not one.low <= 0 <= one.high)


def test_without_control_there_is_an_effect_but_no_lift() -> None:
    treatment = Replicates(np.array([0.2]), np.full((50, 1), 0.2))
    nothing = Replicates(np.array([0.0]), np.zeros((50, 1)))
    found = lift(treatment, nothing)[0]
    assert np.isnan([found.lift, found.low, found.high]).all()
    assert found.p_value == pytest.approx(2 / 51)
    assert lift(nothing, treatment)[0].lift == -1


def test_p_value_is_that_of_a_sign() -> None:
    assert two_sided_p_value(np.zeros(9)) == 1.0
    assert two_sided_p_value(np.ones(999)) == pytest.approx(0.002)
    assert np.isnan(two_sided_p_value(np.full(3, np.nan)))


def test_estimates_of_other_users_are_refused(world: World, theta: np.ndarray) -> None:
    rng = np.random.default_rng(7)
    one, other = (item_position(world().sample(rng, n, n), "better") for n in (20, 30))
    with pytest.raises(ValueError, match="same users"):
        replicate({"one": one, "other": other})


def test_rounding_is_no_effect() -> None:
    """The same sums, added up in another order as other numbers of threads do."""
    rng = np.random.default_rng(3)
    values = rng.random((999, 1)) + 1
    nearly = values * (1 + rng.choice([-1, 1], values.shape) * np.finfo(float).eps)
    one, other = (Replicates(v.mean(axis=0), v) for v in (values, nearly))
    assert lift(one, other)[0].p_value == lift(one, one)[0].p_value == 1.0
