from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.estimators.rankings import (
    Sample,
    effective_sample_size,
    item_position,
    position_based,
    top_share,
)

World = Callable[..., Any]

# Two users, three requests of two positions; pools of 4 candidates, propensity 1/4 or 1/5.
HAND = Sample(
    user=np.array([0, 0, 1]),
    page=np.array([2, 2, 2]),
    request=np.array([0, 0, 1, 1, 2, 2]),
    position=np.array([1, 2, 1, 2, 1, 2]),
    propensity=np.array([0.25, 0.25, 0.25, 0.25, 0.2, 0.2]),
    actions=np.array([[1.0], [0.0], [1.0], [1.0], [0.0], [1.0]]),
    ranks={"arm": np.array([1, 3, 2, 1, 1, 2])},
)


def tiled(theta: np.ndarray, sample: Sample) -> np.ndarray:
    return np.tile(theta, (sample.n_requests, 1))


def test_item_position_by_hand() -> None:
    # position 1: rows 0 (w 4, r 1) and 4 (w 5, r 0); position 2: row 5 (w 5, r 1)
    assert item_position(HAND, "arm").value() == pytest.approx([4 / 9 + 1.0])


def test_position_based_by_hand() -> None:
    # theta 1, 1/2; Theta 3/2. w * 1.5 = theta_rank / p: 4, 0, 2, 4, 5, 2.5
    # sum w r: 4 + 2 + 4 + 2.5 = 12.5; sum w theta_position: 4 + 2 + 2 + 5 + 1.25 = 14.25
    theta = tiled(np.array([1.0, 0.5]), HAND)
    assert position_based(HAND, "arm", theta).value() == pytest.approx([1.5 * 12.5 / 14.25])


def test_a_candidate_without_a_place_counts_for_nothing(theta: np.ndarray) -> None:
    nowhere = replace(HAND, ranks={"arm": np.zeros(6, int)})
    assert item_position(nowhere, "arm").value() == [0.0]
    assert position_based(nowhere, "arm", tiled(theta, HAND)).value() == [0.0]


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.01, 1.0), stretch=st.floats(0.1, 10.0))
def test_only_ratios_of_propensities_and_of_examination_matter(
    scale: float, stretch: float
) -> None:
    theta = tiled(np.array([1.0, 0.5]), HAND)
    scaled = replace(HAND, propensity=HAND.propensity * scale)
    assert item_position(scaled, "arm").value() == pytest.approx(item_position(HAND, "arm").value())
    assert position_based(scaled, "arm", theta * stretch).value() == pytest.approx(
        position_based(HAND, "arm", theta).value()
    )


def test_actions_that_are_certain_are_estimated_without_error(
    theta: np.ndarray, world: World
) -> None:
    sample = world().sample(np.random.default_rng(1), 400, 50)
    certain = replace(sample, actions=np.ones_like(sample.actions))
    assert item_position(certain, "better").value() == pytest.approx([4.0, 4.0])
    seen = replace(sample, actions=theta[sample.position - 1][:, None] * [1.0, 0.5])
    found = position_based(seen, "better", tiled(theta, sample)).value()
    assert found == pytest.approx([theta.sum(), theta.sum() / 2])


def test_both_estimators_find_the_truth(theta: np.ndarray, world: World) -> None:
    truth = world()
    sample = truth.sample(np.random.default_rng(2), 200_000, 20_000)
    for arm in sample.ranks:
        expected = truth.truth(arm)
        assert item_position(sample, arm).value() == pytest.approx(expected, rel=0.03)
        found = position_based(sample, arm, tiled(theta, sample)).value()
        assert found == pytest.approx(expected, rel=0.015)


def test_pages_and_curves_may_differ_between_requests(theta: np.ndarray, world: World) -> None:
    # half of the requests show 2 positions only, and are examined less: the mean of both truths
    truth = world()
    rng = np.random.default_rng(3)
    long, short = truth.sample(rng, 150_000, 9_000), truth.sample(rng, 150_000, 9_000)
    kept = (short.position <= 2) & (short.page[short.request] > 0)
    dim = 0.6
    seen = rng.random(kept.sum()) < dim
    both = Sample(
        user=np.concatenate([long.user, short.user + 9_000]),
        page=np.concatenate([long.page, np.full(short.n_requests, 2)]),
        request=np.concatenate([long.request, short.request[kept] + long.n_requests]),
        position=np.concatenate([long.position, short.position[kept]]),
        propensity=np.concatenate([long.propensity, short.propensity[kept]]),
        actions=np.concatenate([long.actions, short.actions[kept] * seen[:, None]]),
        ranks={arm: np.concatenate([r, short.ranks[arm][kept]]) for arm, r in long.ranks.items()},
    )
    curves = np.concatenate([tiled(theta, long), tiled(theta * dim, short)])
    rates, rank = truth.rates(), truth.ranks["better"]
    order = np.argsort(rank, axis=1)[:, :2]
    top_two = rates[np.arange(6)[:, None], order, np.arange(2)].sum(axis=1).mean(axis=0)
    expected = (truth.truth("better") + dim * top_two) / 2
    assert position_based(both, "better", curves).value() == pytest.approx(expected, rel=0.02)
    assert item_position(both, "better").value() == pytest.approx(expected, rel=0.03)


def test_position_based_is_tighter_where_its_model_holds(theta: np.ndarray, world: World) -> None:
    rng, truth = np.random.default_rng(4), world()
    found = []
    for _ in range(150):
        sample = truth.sample(rng, 500, 100)
        pair = item_position(sample, "better"), position_based(
            sample, "better", tiled(theta, sample)
        )  # fmt: skip
        found.append([sums.value()[0] for sums in pair])
    wide, tight = np.std(found, axis=0)
    assert tight < 0.7 * wide
    assert np.mean(found, axis=0) == pytest.approx(np.full(2, truth.truth("better")[0]), rel=0.03)


def test_item_position_holds_where_the_position_based_model_does_not(
    theta: np.ndarray, world: World
) -> None:
    truth = world(clutter=0.6)
    # even candidates do better near the top, odd ones near the bottom; the arm knows that
    rank = np.array([1, 3, 2, 4, 5, 6, 7, 8, 9, 10])
    truth = replace(truth, ranks={"suited": np.tile(rank, (6, 1))})
    sample = truth.sample(np.random.default_rng(5), 200_000, 20_000)
    expected = truth.truth("suited")[0]
    assert item_position(sample, "suited").value()[0] == pytest.approx(expected, rel=0.03)
    biased = position_based(sample, "suited", tiled(theta, sample)).value()[0]
    assert biased < 0.9 * expected


def test_selected_requests_stand_for_themselves(theta: np.ndarray, world: World) -> None:
    sample = world().sample(np.random.default_rng(6), 300, 60)
    half = np.arange(300) % 2 == 0
    one, other = sample.select(half), sample.select(~half)
    assert one.n_requests + other.n_requests == 300
    assert len(one.position) + len(other.position) == len(sample.position)
    whole = position_based(sample, "better", tiled(theta, sample))
    parts = [position_based(s, "better", tiled(theta, s)) for s in (one, other)]
    for field in ("numerator", "denominator", "scale", "requests"):
        total = sum(getattr(p, field).sum(axis=0) for p in parts)
        assert total == pytest.approx(getattr(whole, field).sum(axis=0))
    assert sample.select(np.ones(300, bool)).ranks["better"].tolist() == list(
        sample.ranks["better"]
    )


def test_nothing_selected_is_an_empty_sample(theta: np.ndarray) -> None:
    none = HAND.select(np.zeros(3, bool))
    assert (none.n_requests, none.n_users, len(none.position)) == (0, 0, 0)
    assert np.isnan(item_position(none, "arm").value()).all()
    assert np.isnan(position_based(none, "arm", np.empty((0, 4))).value()).all()


@given(st.lists(st.floats(0.01, 100.0), min_size=1, max_size=30), st.floats(0.1, 10.0))
def test_effective_sample_size_lies_between_one_and_all(weights: list[float], by: float) -> None:
    w = np.array(weights)
    size = effective_sample_size(w)
    assert 1 - 1e-9 <= size <= len(w) + 1e-9
    assert effective_sample_size(w * by) == pytest.approx(size)
    assert effective_sample_size(np.append(w, 0.0)) == pytest.approx(size)
    assert 0 < top_share(w, 0.1) <= 1 + 1e-9


def test_no_weight_is_worth_nothing() -> None:
    assert effective_sample_size(np.zeros(3)) == 0.0
    assert top_share(np.zeros(3)) == 0.0
