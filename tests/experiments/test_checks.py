from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from experiments import checks
from experiments.checks import Check
from experiments.estimators.rankings import item_position, position_based
from experiments.statistics.bootstrap import Lift, replicate

World = Callable[..., Any]


def tiled(theta: np.ndarray, sample: Any) -> np.ndarray:
    return np.tile(theta, (sample.n_requests, 1))


def test_a_steady_share_passes_and_a_broken_day_does_not() -> None:
    steady = {"mon": (100, 1000), "tue": (110, 1050), "wed": (98, 990)}
    found = checks.sample_ratio("day", steady)
    assert found.passed
    table = [[n, total - n] for n, total in steady.values()]
    assert found.value == pytest.approx(chi2_contingency(table).pvalue)
    broken = checks.sample_ratio("day", {**steady, "thu": (40, 1000)})
    assert not broken.passed
    assert broken.critical
    assert "4.00% to 10.48%" in broken.detail


def test_a_sample_ratio_of_nothing_to_compare_passes() -> None:
    assert checks.sample_ratio("day", {}).passed
    assert checks.sample_ratio("day", {"mon": (0, 10), "tue": (0, 10)}).passed
    assert checks.sample_ratio("day", {"mon": (5, 10)}).passed


def test_false_alarms_of_the_sample_ratio_are_rare() -> None:
    rng = np.random.default_rng(0)
    found = [
        checks.sample_ratio("day", {str(d): (rng.binomial(9000, 0.1), 9000) for d in range(4)})
        for _ in range(300)
    ]
    assert sum(not check.passed for check in found) <= 2
    assert np.mean([check.value < 0.05 for check in found]) == pytest.approx(0.05, abs=0.04)


def test_the_stated_share_is_held_against_the_log() -> None:
    assert checks.stated_ratio(1016, 10_000, 0.1).passed
    assert not checks.stated_ratio(1150, 10_000, 0.1).passed


def test_random_order_is_told_from_an_arms_own_order(world: World) -> None:
    rng, truth = np.random.default_rng(1), world()
    values = [checks.random_order(truth.sample(rng, 300, 60), "better").value for _ in range(200)]
    assert np.mean(np.array(values) > 1.96) == pytest.approx(0.05, abs=0.04)
    sample = truth.sample(rng, 2_000, 300)
    order = np.lexsort([sample.ranks["better"], sample.request])
    ranked = replace(sample, ranks={"better": sample.ranks["better"][order]})
    assert not checks.random_order(ranked, "better").passed


def test_exact_propensities_pass_and_wrong_ones_do_not(world: World, theta: np.ndarray) -> None:
    sample = world().sample(np.random.default_rng(2), 20_000, 2_000)
    good = checks.weights_average_one(sample, "better", tiled(theta, sample))
    assert good.passed
    assert good.value == pytest.approx(1, abs=0.02)
    wrong = replace(sample, propensity=sample.propensity * 1.1)
    bad = checks.weights_average_one(wrong, "better", tiled(theta, wrong))
    assert not bad.passed
    assert bad.value == pytest.approx(good.value / 1.1)


def test_weight_on_few_impressions_is_told() -> None:
    even = checks.overlap(np.ones(5_000), "targeted")
    assert [check.passed for check in even] == [True, True]
    assert [check.value for check in even] == pytest.approx([0.01, 5_000])
    uneven = checks.overlap(np.append(np.ones(99), 1_000.0), "targeted")
    assert [check.passed for check in uneven] == [False, False]


def test_the_twin_must_not_differ() -> None:
    same = Lift(1.0, 1.01, 0.01, -0.02, 0.04, 0.4)
    other = Lift(1.0, 1.1, 0.1, 0.06, 0.14, 0.002)
    assert checks.a_a({"save": same, "click": same}).passed
    assert checks.a_a({"save": same, "click": replace(same, p_value=0.03)}).passed  # 0.03 x 2
    assert not checks.a_a({"save": same, "click": other}).passed
    unknown = replace(same, lift=float("nan"), p_value=float("nan"))
    assert checks.a_a({"save": unknown}).passed


@pytest.mark.parametrize(("clutter", "passed"), [(0.0, True), (0.8, False)])
def test_estimators_disagree_where_position_and_candidate_interact(
    world: World, theta: np.ndarray, clutter: float, passed: bool
) -> None:
    truth = world(clutter=clutter)
    rank = np.array([1, 3, 2, 4, 5, 6, 7, 8, 9, 10])
    ranks = {"suited": np.tile(rank, (6, 1)), "unsuited": np.tile(np.roll(rank, 1), (6, 1))}
    sample = replace(truth, ranks=ranks).sample(np.random.default_rng(3), 20_000, 2_000)
    pairs = []
    for how in (
        lambda arm: position_based(sample, arm, tiled(theta, sample)),
        lambda arm: item_position(sample, arm),
    ):
        found = replicate({arm: how(arm) for arm in ranks}, 400)
        pairs.append((found["suited"], found["unsuited"]))
    assert checks.estimators_agree(pairs[0], pairs[1], 0, "suited").passed == passed


def test_one_heavy_user_is_named(world: World) -> None:
    sample = world().sample(np.random.default_rng(4), 1_000, 200)
    assert checks.heaviest_user(sample).passed
    heavy = replace(sample, user=np.where(np.arange(1_000) < 80, 0, sample.user))
    found = checks.heaviest_user(heavy)
    assert not found.passed
    assert found.value >= 0.08
    assert not found.critical


def test_what_is_left_out_is_counted() -> None:
    assert checks.propensities(1, 100).passed
    assert not checks.propensities(2, 100).passed
    assert checks.unranked(5, 100).passed
    assert not checks.unranked(6, 100).passed
    assert checks.propensities(0, 0).passed
    assert checks.unranked(0, 0).passed


def test_every_critical_check_can_be_made(world: World, theta: np.ndarray) -> None:
    sample = world().sample(np.random.default_rng(5), 200, 40)
    made: list[Check] = [
        checks.random_requests(sample), checks.sample_ratio("day", {}),
        checks.sample_ratio("platform", {}), checks.stated_ratio(1, 10, 0.1),
        checks.random_order(sample, "better"), checks.a_a({}),
        checks.weights_average_one(sample, "better", tiled(theta, sample)),
    ]  # fmt: skip
    assert {check.name for check in made} == checks.CRITICAL
    assert not checks.random_requests(sample.select(np.zeros(200, bool))).passed
