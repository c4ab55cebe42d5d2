from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.proof.plackett_luce import conditional, marginal, pages, weights

several = st.lists(st.floats(0.01, 1.0), min_size=5, max_size=5).map(lambda w: np.array([w]))


@given(several)
def test_one_candidate_is_at_every_position(weight: np.ndarray) -> None:
    found = marginal(weight, 5)
    assert found.sum(axis=1) == pytest.approx(np.ones((1, 5)))
    assert found.sum(axis=2) == pytest.approx(np.ones((1, 5)))  # five places for five candidates


@settings(max_examples=20, deadline=None)
@given(several)
def test_marginal_is_the_sum_over_pages(weight: np.ndarray) -> None:
    every = np.array(list(permutations(range(5), 3)))
    chance = conditional(np.tile(weight, (len(every), 1)), every).prod(axis=1)
    assert chance.sum() == pytest.approx(1)
    expected = np.zeros((5, 3))
    np.add.at(expected, (every, np.arange(3)), chance[:, None])
    assert marginal(weight, 3)[0] == pytest.approx(expected)


def test_pages_are_drawn_with_their_propensities() -> None:
    weight, n = np.array([0.6, 0.2, 0.15, 0.05]), 100_000
    shown = pages(np.tile(weight, (n, 1)), 2, np.random.default_rng(0))
    expected = marginal(weight[None], 2)[0]
    for candidate, k in np.ndindex(4, 2):
        p = expected[candidate, k]
        share = (shown[:, k] == candidate).mean()
        assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / n)


def test_without_sharpness_the_order_is_random() -> None:
    weight = weights(np.array([[3.0, 1.0, 2.0, 0.5]]), 0.0)
    assert (weight == 1).all()
    assert marginal(weight, 3) == pytest.approx(np.full((1, 4, 3), 1 / 4))
    assert conditional(weight, np.array([[2, 0, 1]])) == pytest.approx(
        np.array([[1 / 4, 1 / 3, 1 / 2]])
    )


def test_a_sharp_policy_shows_the_order_of_its_scores() -> None:
    scores = np.array([[1.0, 3.0, 2.0]])
    found = marginal(weights(scores, 8.0), 3)[0]
    assert found[[1, 2, 0], [0, 1, 2]].min() > 0.99


def test_candidates_that_never_show_are_refused() -> None:
    with pytest.raises(ValueError, match="Lower the sharpness"):
        weights(np.array([[1.0, 3.0, 2.0]]), 50.0)
