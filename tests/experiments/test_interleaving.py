from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from experiments.interleaving import credit, preference, team_draft

rankings = st.permutations(range(8)).map(lambda order: order[:5])


@given(rankings, rankings, st.integers(0, 100))
def test_teams_draft_in_turn_from_the_top(first: list[int], second: list[int], seed: int) -> None:
    pair = np.array([first]), np.array([second])
    (order,), (team,) = team_draft(*pair, np.random.default_rng(seed))
    assert len(set(order.tolist())) == 5
    for k, (pin, side) in enumerate(zip(order, team, strict=True)):
        above = set(order[:k].tolist())
        assert pin == next(p for p in (first, second)[side] if p not in above)
    for k in (2, 4):  # after every pair of picks the teams are even
        assert team[:k].sum() == k // 2


def test_every_draw_of_the_coins_by_hand() -> None:
    first, second = np.tile([1, 2, 3], (4_000, 1)), np.tile([2, 1, 4], (4_000, 1))
    order, team = team_draft(first, second, np.random.default_rng(0))
    found = {(tuple(o), tuple(t)) for o, t in zip(order.tolist(), team.tolist(), strict=True)}
    assert found == {
        ((1, 2, 3), (0, 1, 0)), ((1, 2, 4), (0, 1, 1)),
        ((2, 1, 3), (1, 0, 0)), ((2, 1, 4), (1, 0, 1)),
    }  # fmt: skip
    for outcome, n in zip(*np.unique(team[:, [0, 2]], axis=0, return_counts=True), strict=True):
        assert abs(n - 1_000) < 4 * np.sqrt(4_000 * 3 / 16), outcome


@settings(max_examples=20, deadline=None)
@given(rankings, st.integers(0, 100))
def test_a_ranking_against_itself_is_shown_as_it_is(ranking: list[int], seed: int) -> None:
    same = np.tile(ranking, (1_000, 1))
    order, team = team_draft(same, same, np.random.default_rng(seed))
    assert (order == same).all()
    acted = np.tile([1, 1, 0, 1, 0], (1_000, 1))  # whatever people do, credit is a coin's
    total = credit(acted, team)
    assert abs(total.mean()) < 4.5 * total.std() / np.sqrt(1_000)


def test_exchanged_rankings_exchange_credit() -> None:
    first, second = np.tile([0, 1, 2, 3], (40_000, 1)), np.tile([2, 0, 3, 1], (40_000, 1))
    appeal = np.array([0.1, 0.2, 0.5, 0.3])
    rng, means, errors = np.random.default_rng(1), [], []
    for pair in ((first, second), (second, first)):
        order, team = team_draft(*pair, rng)
        total = credit(rng.random(order.shape) < appeal[order], team)
        means.append(total.mean())
        errors.append(total.std() / 200)
    assert abs(means[0] + means[1]) < 4 * np.hypot(*errors)
    assert means[0] > 4 * errors[0]


def test_preference_by_hand() -> None:
    found = preference(np.array([1.0, 2.0, -1.0, 0.0, 1.0]), np.array([3, 3, 5, 8, 9]))
    assert found.value == pytest.approx(3 / 5)
    assert (found.n_users, found.n_first, found.n_second) == (4, 1, 2)
    assert found.sign_p_value == pytest.approx(1.0)
    # totals less 0.6 per request: 1.8, -1.6, -0.6, 0.4
    error = np.sqrt(4 / 3 * (1.8**2 + 1.6**2 + 0.6**2 + 0.4**2)) / 5
    assert (found.high - found.low) / 2 == pytest.approx(3.1824463 * error)


def test_with_one_request_a_user_it_is_the_t_test() -> None:
    rng = np.random.default_rng(2)
    values = rng.integers(-2, 3, 50).astype(float)
    found, expected = preference(values, np.arange(50)), ttest_1samp(values, 0.0)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(expected.confidence_interval(0.95))


def test_users_matter_not_requests() -> None:
    rng = np.random.default_rng(3)
    values, user = rng.integers(-1, 2, 400).astype(float), rng.integers(50, size=400)
    once = preference(values, user)
    twice = preference(np.tile(values, 2), np.tile(user, 2))
    assert (twice.low, twice.high, twice.p_value) == pytest.approx(
        (once.low, once.high, once.p_value)
    )


def test_nothing_acted_on_is_no_preference() -> None:
    none = preference(np.zeros(4), np.array([0, 0, 1, 2]))
    assert (none.value, none.low, none.high) == (0, 0, 0)
    assert (none.p_value, none.sign_p_value) == (1.0, 1.0)
    alone = preference(np.ones(3), np.zeros(3, int))
    assert np.isnan([alone.low, alone.high, alone.p_value]).all()


def test_what_cannot_be_compared_is_refused() -> None:
    rng, page = np.random.default_rng(0), np.array([[1, 2]])
    with pytest.raises(ValueError, match="one shape"):
        team_draft(page, np.array([[1, 2, 3]]), rng)
    with pytest.raises(ValueError, match="every pin once"):
        team_draft(page, np.array([[2, 2]]), rng)
    with pytest.raises(ValueError, match="at least one request"):
        preference(np.array([]), np.array([], int))


def test_false_alarms_are_as_rare_as_claimed() -> None:
    rng, alarms = np.random.default_rng(4), []
    for _ in range(400):
        user = rng.integers(60, size=300)
        lean = rng.normal(0, 0.5, 60)[user]  # users differ, so a user's requests are alike
        found = preference(rng.normal(lean, 1.0), user)
        alarms.append(found.p_value < 0.05)
    assert abs(np.mean(alarms) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 400)


def test_coins_are_fair_for_every_pair_of_places() -> None:
    same = np.tile([0, 1, 2, 3], (20_000, 1))
    _, team = team_draft(same, same, np.random.default_rng(5))
    for one, other in product(range(4), repeat=2):
        together = (team[:, one] == team[:, other]).mean()
        expected = 1.0 if one == other else 0.0 if {one, other} in ({0, 1}, {2, 3}) else 0.5
        assert abs(together - expected) < 4 * np.sqrt(0.25 / 20_000)
