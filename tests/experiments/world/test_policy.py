import numpy as np
import pytest
from scipy import stats

from experiments.world.policy import plackett_luce, shares, show

REQUESTS, CANDIDATES, POSITIONS = 20_000, 15, 6


@pytest.fixture(scope="module", params=[False, True], ids=["production", "random"])
def log(request):
    """Requests of two query pins under one policy; the second has two candidates fewer."""
    rng = np.random.default_rng(4)
    query = rng.integers(0, 2, REQUESTS)
    available = np.ones((REQUESTS, CANDIDATES), bool)
    available[query == 1, -2:] = False
    scores = rng.normal(0, 1, (2, CANDIDATES))
    randomised = np.full(REQUESTS, request.param)
    return query, available, show(query, randomised, available, scores, POSITIONS, rng)


def test_a_page_shows_each_candidate_once_and_only_those_there_are(log):
    _, available, shown = log
    assert (np.diff(np.sort(shown.columns, axis=1), axis=1) > 0).all()
    assert np.take_along_axis(available, shown.columns, axis=1).all()


def test_candidates_appear_as_often_as_their_propensity_says(log):
    query, _, shown = log
    for q in (0, 1):
        rows = query == q
        for position in range(POSITIONS):
            columns = shown.columns[rows, position]
            counts = np.bincount(columns, minlength=CANDIDATES)
            claimed = np.zeros(CANDIDATES)
            claimed[columns] = shown.propensity[rows, position]
            assert claimed.sum() == pytest.approx(1, abs=0.01)
            seen = claimed > 0
            expected = claimed[seen] / claimed[seen].sum() * rows.sum()
            assert stats.chisquare(counts[seen], expected).pvalue > 1e-4


def test_the_random_policy_is_uniform():
    rng = np.random.default_rng(0)
    available = np.ones((10, 8), bool)
    available[:5, 0] = False
    shown = show(np.zeros(10, int), np.ones(10, bool), available, np.zeros((1, 8)), 4, rng)
    assert (shown.propensity[:5] == 1 / 7).all()
    assert (shown.propensity[5:] == 1 / 8).all()


def test_plackett_luce_puts_first_with_probability_proportional_to_exp_score():
    scores = np.log([1.0, 2.0, 5.0])
    pages = plackett_luce(scores, 40_000, 3, np.random.default_rng(1))
    share = shares(pages, 3)
    np.testing.assert_allclose(share[:, 0], [1 / 8, 2 / 8, 5 / 8], atol=0.01)
    np.testing.assert_allclose(share.sum(0), 1)
    np.testing.assert_allclose(share.sum(1), 1)


def test_too_few_candidates_for_a_page_is_an_error():
    rng = np.random.default_rng(0)
    available = np.ones((2, 3), bool)
    with pytest.raises(ValueError, match="at least 4 candidates"):
        show(np.zeros(2, int), np.ones(2, bool), available, np.zeros((1, 3)), 4, rng)
