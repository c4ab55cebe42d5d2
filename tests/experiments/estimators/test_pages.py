from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.estimators.actions import ips, snips
from experiments.estimators.estimate import Estimate
from experiments.estimators.pages import (
    Pages,
    independent_ips,
    reward_interaction_ips,
    standard_ips,
)
from experiments.estimators.support import NoSupport

# Three requests of two users; the third page has one position. Rows are not in order.
# ratios: request 0: 2, 0.5; request 1: 0.5, 4; request 2: 3
HAND = Pages(
    user=np.array([5, 5, 8]),
    request=np.array([1, 0, 2, 0, 1]),
    position=np.array([2, 1, 1, 2, 1]),
    reward=np.array([1.0, 1.0, 1.0, 1.0, 0.0]),
    target=np.array([0.8, 0.5, 0.6, 0.2, 0.25]),
    logged=np.array([0.2, 0.25, 0.2, 0.4, 0.5]),
)
ESTIMATORS: list[Callable[[Pages], Estimate]] = [
    standard_ips,
    independent_ips,
    reward_interaction_ips,
    lambda pages: reward_interaction_ips(pages, self_normalised=True),
]


def test_standard_by_hand() -> None:
    # pages weigh 1, 2, 3 and earned 2, 1, 1
    found = standard_ips(HAND)
    assert found.value == pytest.approx((2 + 2 + 3) / 3)
    # terms 2, 2, 3 less 7/3; users -2/3 and 2/3: sqrt(2 / 1 * 8 / 9) / 3
    assert found.standard_error == pytest.approx(np.sqrt(16 / 9) / 3)
    assert (found.n_rows, found.n_users) == (3, 2)
    assert found.effective_sample_size == pytest.approx(36 / 14)


def test_independent_by_hand() -> None:
    # 2 + 0.5; 4; 3
    found = independent_ips(HAND)
    assert found.value == pytest.approx(9.5 / 3)
    assert (found.n_rows, found.effective_sample_size) == (5, pytest.approx(100 / 29.5))


def test_reward_interaction_by_hand() -> None:
    # weights down to the row: request 0: 2, 1; request 1: 0.5, 2; request 2: 3
    found = reward_interaction_ips(HAND)
    assert found.value == pytest.approx((2 + 1 + 2 + 3) / 3)
    assert (found.n_rows, found.effective_sample_size) == (5, pytest.approx(8.5**2 / 18.25))


def test_self_normalised_by_hand() -> None:
    # position 1: (2 + 3) / 5.5 for all three; position 2: (1 + 2) / 3 for two of three
    found = reward_interaction_ips(HAND, self_normalised=True)
    value = 5 / 5.5 + 2 / 3
    assert found.value == pytest.approx(value)
    # m = 10/11, then 1. Terms m + 3 w (r - m) / 5.5 at position 1, 1 + 2 w (r - 1) / 3 at 2:
    terms = np.array([
        10 / 11 + 3 / 5.5 * 2 / 11 + 1, 10 / 11 - 3 / 5.5 * 0.5 * 10 / 11 + 1,
        10 / 11 + 3 / 5.5 * 3 / 11,
    ])  # fmt: skip
    assert terms.mean() == pytest.approx(value)
    by_user = np.array([terms[:2].sum() - 2 * value, terms[2] - value])
    assert found.standard_error == pytest.approx(np.sqrt(2 * (by_user**2).sum()) / 3)


PAGES = st.lists(
    st.lists(
        st.tuples(st.floats(-1, 2), st.floats(0.1, 1), st.floats(0.1, 1)), min_size=1, max_size=4
    ),
    min_size=1, max_size=6,
)  # fmt: skip


def made(pages: list[list[tuple[float, float, float]]]) -> Pages:
    rows = [(q, k, *row) for q, page in enumerate(pages) for k, row in enumerate(page, 1)]
    request, position, reward, target, logged = (np.array(c) for c in zip(*rows, strict=True))
    return Pages(np.arange(len(pages)) // 2, request, position, reward, target, logged)


@given(PAGES)
def test_they_are_loops_in_plain_python(pages: list[list[tuple[float, float, float]]]) -> None:
    standard = independent = interaction = normalised = 0.0
    sums: dict[int, list[float]] = {}
    for page in pages:
        weight, earned = 1.0, 0.0
        for k, (reward, target, logged) in enumerate(page):
            weight, earned = weight * target / logged, earned + reward
            independent += target / logged * reward
            interaction += weight * reward
            at = sums.setdefault(k, [0.0, 0.0, 0.0])
            sums[k] = [at[0] + weight * reward, at[1] + weight, at[2] + 1]
        standard += weight * earned
    for weighted, total, n in sums.values():
        normalised += n * weighted / total
    found = [estimate(made(pages)).value * len(pages) for estimate in ESTIMATORS]
    assert found == pytest.approx([standard, independent, interaction, normalised], abs=1e-9)


@given(PAGES, st.randoms())
def test_the_order_of_rows_does_not_matter(pages: Any, chance: Any) -> None:
    one = made(pages)
    order = list(range(len(one.request)))
    chance.shuffle(order)
    columns = ("request", "position", "reward", "target", "logged")
    other = replace(one, **{name: getattr(one, name)[order] for name in columns})
    for estimate in ESTIMATORS:
        a, b = estimate(one), estimate(other)
        assert b.value == pytest.approx(a.value, abs=1e-9)
        assert b.standard_error == pytest.approx(a.standard_error, abs=1e-9, nan_ok=True)


@given(PAGES)
def test_with_one_position_all_are_the_same(pages: list[list[tuple[float, float, float]]]) -> None:
    one = made([page[:1] for page in pages])
    row = one.reward, one.target, one.logged, one.user[one.request]
    plain = ips(*row)
    for estimate in ESTIMATORS[:3]:
        assert estimate(one).value == pytest.approx(plain.value)
        assert estimate(one).standard_error == pytest.approx(plain.standard_error, nan_ok=True)
    normalised, expected = ESTIMATORS[3](one), snips(*row)
    assert normalised.value == pytest.approx(expected.value, abs=1e-9)
    assert normalised.standard_error == pytest.approx(
        expected.standard_error, abs=1e-9, nan_ok=True
    )


@given(PAGES)
def test_what_is_earned_at_the_last_position_weighs_the_whole_page(
    pages: list[list[tuple[float, float, float]]],
) -> None:
    last = made([[(0.0, t, p) for _, t, p in page[:-1]] + page[-1:] for page in pages])
    assert standard_ips(last).value == pytest.approx(reward_interaction_ips(last).value, abs=1e-9)


@given(PAGES)
def test_where_the_target_was_logged_they_are_the_mean(pages: Any) -> None:
    one = made(pages)
    one = replace(one, target=one.logged)
    for estimate in ESTIMATORS:
        assert estimate(one).value == pytest.approx(one.reward.sum() / len(pages), abs=1e-9)


def every_page(
    reward: Callable[[tuple[int, ...]], list[float]], marginal: bool = False
) -> tuple[Pages, float]:
    """All orders of 3 of 4 candidates, as often as a uniform policy shows each, and the truth.

    The target draws them one after another with strengths 1, 2, 3, 4 (Plackett-Luce).
    """
    strength = np.array([1.0, 2.0, 3.0, 4.0])
    orders = list(permutations(range(4), 3))
    target = np.empty((len(orders), 3))
    for row, order in zip(target, orders, strict=True):
        left = strength.sum()
        for k, candidate in enumerate(order):
            row[k], left = strength[candidate] / left, left - strength[candidate]
    whole = target.prod(axis=1)
    earned = np.array([reward(order) for order in orders])
    truth = float(whole @ earned.sum(axis=1))
    logged = np.tile([1 / 4, 1 / 3, 1 / 2], (len(orders), 1))
    if marginal:
        shown = np.array(orders)
        at = [[whole[shown[:, k] == c].sum() for c in range(4)] for k in range(3)]
        target = np.stack([np.array(at[k])[shown[:, k]] for k in range(3)], axis=1)
        logged = np.full_like(target, 1 / 4)
    n = len(orders)
    pages = Pages(
        np.arange(n), np.repeat(np.arange(n), 3), np.tile([1, 2, 3], n),
        earned.ravel(), target.ravel(), logged.ravel(),
    )  # fmt: skip
    return pages, truth


def alone(order: tuple[int, ...]) -> list[float]:
    return [(1 + candidate) / (1 + k) for k, candidate in enumerate(order)]


def after_those_above(order: tuple[int, ...]) -> list[float]:
    return [(1 + c) * (0.2 if k and order[k - 1] > c else 1) for k, c in enumerate(order)]


def beside_all(order: tuple[int, ...]) -> list[float]:
    return [float(c * (order[-1] == 0)) for c in order]


@pytest.mark.parametrize(
    ("reward", "right"),
    [
        (alone, {"standard", "interaction", "independent"}),
        (after_those_above, {"standard", "interaction"}),
        (beside_all, {"standard"}),
    ],
)
def test_each_is_unbiased_where_its_assumption_holds(reward: Any, right: set[str]) -> None:
    pages, truth = every_page(reward)
    marginal, _ = every_page(reward, marginal=True)
    found = {
        "standard": standard_ips(pages).value,
        "interaction": reward_interaction_ips(pages).value,
        "independent": independent_ips(marginal).value,
    }
    assert {name for name, value in found.items() if value == pytest.approx(truth)} == right
    if "interaction" in right:
        normalised = reward_interaction_ips(pages, self_normalised=True).value
        assert normalised == pytest.approx(truth)


def test_the_less_is_assumed_the_wider_it_is() -> None:
    pages, _ = every_page(alone)
    marginal, _ = every_page(alone, marginal=True)
    widths = [standard_ips(pages), reward_interaction_ips(pages), independent_ips(marginal)]
    errors = [found.standard_error for found in widths]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1.2 * errors[2]


def test_intervals_cover_as_often_as_they_claim() -> None:
    every, truth = every_page(after_those_above)
    size = len(every.user)
    columns = {name: getattr(every, name).reshape(size, 3) for name in ("target", "logged")}
    rate = every.reward.reshape(size, 3) / 4
    rng, draws = np.random.default_rng(0), 1200
    user = np.repeat(np.arange(60), rng.integers(1, 8, size=60))
    n = len(user)
    covered = np.zeros(3)
    for _ in range(draws):
        order = rng.integers(size, size=n)
        taste = rng.uniform(0.3, 1.0, size=60)[user]
        reward = (rng.random((n, 3)) < rate[order] * taste[:, None]).astype(float)
        pages = Pages(
            user, np.repeat(np.arange(n), 3), np.tile([1, 2, 3], n), reward.ravel(),
            columns["target"][order].ravel(), columns["logged"][order].ravel(),
        )  # fmt: skip
        found = [standard_ips(pages), *(reward_interaction_ips(pages, x) for x in (False, True))]
        covered += [one.low <= truth / 4 * 0.65 <= one.high for one in found]
    # 0.95, give or take 3 standard errors of a share in 1,200 draws: 0.019
    assert (np.abs(covered / draws - 0.95) <= 0.02).all(), covered / draws


def test_a_request_that_showed_nothing_earned_nothing() -> None:
    longer = replace(HAND, user=np.array([5, 5, 8, 9]))
    for estimate in ESTIMATORS:
        assert estimate(longer).value == pytest.approx(estimate(HAND).value * 3 / 4)


def test_a_position_without_weight_is_refused() -> None:
    nothing = replace(HAND, target=np.where(HAND.position == 2, 0.0, HAND.target))
    with pytest.raises(NoSupport, match="At some position"):
        reward_interaction_ips(nothing, self_normalised=True)
    assert standard_ips(nothing).value == pytest.approx(3 / 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logged": np.array([0.0, 0.5, 0.5, 0.5, 0.5])}, r"not in \(0, 1\]"),
        ({"target": np.array([2.0, 0.5, 0.5, 0.5, 0.5])}, "from 0 to 1"),
        ({"reward": np.array([np.nan, 0, 0, 0, 0])}, "rows whose reward"),
        ({"reward": np.ones(4)}, "one length"),
        ({"position": np.array([1, 1, 1, 2, 1])}, "one candidate per request and position"),
        ({"position": np.array([2, 1, 0, 2, 1])}, "from 1"),
        ({"request": np.array([1, 0, 3, 0, 1])}, r"0\.\.R-1"),
        ({"request": np.array([1, 0, -1, 0, 1])}, r"0\.\.R-1"),
    ],
)
def test_bad_pages_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(HAND, **change)


def test_products_too_large_to_hold_are_refused() -> None:
    n = 60
    tiny = Pages(
        np.zeros(1, int), np.zeros(n, int), np.arange(1, n + 1), np.ones(n), np.ones(n),
        np.full(n, 1e-9),
    )  # fmt: skip
    with pytest.raises(ValueError, match="rows whose weight"):
        standard_ips(tiny)
