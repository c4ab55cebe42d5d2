from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.estimators.actions import (
    clipped_ips,
    clipping_bias_bound,
    direct_method,
    doubly_robust,
    importance_weights,
    ips,
    snips,
)
from experiments.estimators.support import NoSupport

# Weights 2, 1, 0.5, 0.2, 4.
REWARD = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
TARGET = np.array([0.5, 0.5, 0.2, 0.1, 0.8])
LOGGED = np.array([0.25, 0.5, 0.4, 0.5, 0.2])
USER = np.array([0, 0, 1, 1, 2])
PREDICTED = np.array([0.5, 0.5, 0.5, 0.5, 0.25])
EXPECTED = np.array([0.4, 0.4, 0.6, 0.6, 0.2])

EXACT: Any = pytest.approx


@dataclass(frozen=True)
class Contexts:
    """3 contexts of 4 candidates; probabilities are twentieths, so a log can hold them exactly."""

    logged: np.ndarray = field(default_factory=lambda: np.array(
        [[5, 5, 5, 5], [1, 4, 5, 10], [12, 2, 2, 4]]) / 20)  # fmt: skip
    target: np.ndarray = field(default_factory=lambda: np.array(
        [[14, 2, 2, 2], [8, 4, 4, 4], [4, 12, 0, 4]]) / 20)  # fmt: skip
    rate: np.ndarray = field(default_factory=lambda: np.array(
        [[0.5, 0.2, 0.1, 0.3], [0.2, 0.6, 0.4, 0.1], [0.1, 0.5, 0.9, 0.3]]))  # fmt: skip

    @property
    def truth(self) -> float:
        return float((self.target * self.rate).sum(axis=1).mean())

    def exact_log(self) -> tuple[np.ndarray, np.ndarray]:
        """Contexts and candidates, each as often as the logging policy shows it on average."""
        times = np.round(self.logged * 20).astype(int)
        context, candidate = (np.repeat(i.ravel(), times.ravel()) for i in np.indices((3, 4)))
        return context, candidate

    def expected(self, model: np.ndarray) -> np.ndarray:
        return np.asarray((self.target * model).sum(axis=1))


def test_by_hand() -> None:
    # terms 2, 0, 0.5, 0.2, 0
    found = ips(REWARD, TARGET, LOGGED, USER)
    assert found.value == pytest.approx(2.7 / 5)
    # by user, less 0.54 a row: 0.92, -0.38, -0.54; sqrt(3 / 2 * 1.2824) / 5
    assert found.standard_error == pytest.approx(0.277388, rel=1e-5)
    assert (found.n_rows, found.n_users) == (5, 3)
    assert found.effective_sample_size == pytest.approx(7.7**2 / 21.29)


def test_clipped_by_hand() -> None:
    # weights 1.5, 1, 0.5, 0.2, 1.5: of reward 1.5 + 0.5 + 0.2
    assert clipped_ips(REWARD, TARGET, LOGGED, USER, 1.5).value == pytest.approx(2.2 / 5)
    assert clipping_bias_bound(TARGET, LOGGED, 1.5) == pytest.approx(1 - 4.7 / 5)
    assert clipping_bias_bound(TARGET, LOGGED, 1.5, 2.0) == pytest.approx(2 * (1 - 4.7 / 5))


def test_self_normalised_by_hand() -> None:
    found = snips(REWARD, TARGET, LOGGED, USER)
    assert found.value == pytest.approx(2.7 / 7.7)
    # w (r - v) by user: 2 * 50/77 - 27/77 = 73/77, 0.7 * 50/77 = 35/77, -4 * 27/77 = -108/77
    # times 5 / 7.7: sqrt(3 / 2 * (73^2 + 35^2 + 108^2)) / 77 / 7.7
    expected = np.sqrt(1.5 * (73**2 + 35**2 + 108**2)) / 77 / 7.7
    assert found.standard_error == pytest.approx(expected)


def test_direct_method_by_hand() -> None:
    found = direct_method(EXPECTED, USER)
    assert found.value == pytest.approx(2.2 / 5)
    assert found.effective_sample_size == 5


def test_doubly_robust_by_hand() -> None:
    # 0.4 + 2 * 0.5, 0.4 - 0.5, 0.6 + 0.5 * 0.5, 0.6 + 0.2 * 0.5, 0.2 - 4 * 0.25
    found = doubly_robust(REWARD, TARGET, LOGGED, PREDICTED, EXPECTED, USER)
    assert found.value == pytest.approx((1.4 - 0.1 + 0.85 + 0.7 - 0.8) / 5)
    assert found.effective_sample_size == pytest.approx(7.7**2 / 21.29)


ROWS = st.lists(
    st.tuples(
        st.floats(-2, 2), st.floats(0.01, 1), st.floats(0.01, 1), st.floats(-2, 2),
        st.floats(-2, 2), st.integers(0, 3),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@given(ROWS, st.floats(0.1, 20))
def test_they_are_sums_in_plain_python(rows: list[tuple[Any, ...]], clip: float) -> None:
    n = len(rows)
    plain, clipped, robust, above, below = 0.0, 0.0, 0.0, 0.0, 0.0
    for r, t, p, q, e, _ in rows:
        plain += t / p * r / n
        clipped += min(t / p, clip) * r / n
        robust += (e + t / p * (r - q)) / n
        above, below = above + t / p * r, below + t / p
    r, t, p, q, e, user = (np.array(column) for column in zip(*rows, strict=True))
    assert ips(r, t, p, user).value == EXACT(plain, abs=1e-9)
    assert clipped_ips(r, t, p, user, clip).value == EXACT(clipped, abs=1e-9)
    assert snips(r, t, p, user).value == EXACT(above / below, abs=1e-9)
    assert doubly_robust(r, t, p, q, e, user).value == EXACT(robust, abs=1e-9)
    assert direct_method(e, user).value == EXACT(sum(e) / n, abs=1e-9)
    mean = sum(min(a / b, clip) for _, a, b, *_ in rows) / n
    assert clipping_bias_bound(t, p, clip) == EXACT(max(0.0, 1 - mean))


@given(ROWS)
def test_identities(rows: list[tuple[Any, ...]]) -> None:
    r, t, p, q, e, user = (np.array(column) for column in zip(*rows, strict=True))
    zero = np.zeros(len(r))
    plain = astuple(ips(r, t, p, user))
    assert astuple(doubly_robust(r, t, p, zero, zero, user)) == EXACT(plain, nan_ok=True)
    assert astuple(clipped_ips(r, t, p, user, 100.0)) == EXACT(plain, nan_ok=True)
    assert doubly_robust(q, t, p, q, e, user).value == EXACT(direct_method(e, user).value)
    value = snips(r, t, p, user).value
    assert r.min() - 1e-9 <= value <= r.max() + 1e-9
    assert snips(r, t / 2, p, user).value == EXACT(value, abs=1e-9)
    assert snips(r + 1, t, p, user).value == EXACT(value + 1, abs=1e-9)


def test_where_the_target_was_logged_they_are_the_mean() -> None:
    mean = REWARD.mean()
    assert ips(REWARD, LOGGED, LOGGED, USER).value == mean
    assert snips(REWARD, LOGGED, LOGGED, USER).value == mean
    assert clipped_ips(REWARD, LOGGED, LOGGED, USER, 1.0).value == mean
    assert clipping_bias_bound(LOGGED, LOGGED, 1.0) == 0.0


@pytest.mark.parametrize("model", ["right", "nothing", "wrong"])
def test_doubly_robust_is_unbiased_whatever_the_model(model: str) -> None:
    world = Contexts()
    rates = {
        "right": world.rate, "nothing": np.zeros((3, 4)), "wrong": 3 - 2 * world.rate,
    }[model]  # fmt: skip
    context, candidate = world.exact_log()
    cells = context, candidate
    found = doubly_robust(
        world.rate[cells], world.target[cells], world.logged[cells],
        rates[cells], world.expected(rates)[context], np.arange(len(context)),
    )  # fmt: skip
    assert found.value == pytest.approx(world.truth)
    direct = direct_method(world.expected(rates)[context], np.arange(len(context)))
    assert (direct.value == pytest.approx(world.truth)) == (model == "right")


def test_with_the_right_model_the_weights_add_no_variance() -> None:
    # one context whose reward is certain: all terms are the same
    world = Contexts()
    cells = np.zeros(20, dtype=int), world.exact_log()[1][:20]
    found = doubly_robust(
        world.rate[cells], world.target[cells], world.logged[cells],
        world.rate[cells], np.full(20, world.expected(world.rate)[0]), np.arange(20),
    )  # fmt: skip
    assert found.standard_error == pytest.approx(0.0, abs=1e-12)
    # w r: 1.4, 0.08, 0.04, 0.12, five of each, mean 0.41; squares 0.9801, 0.1089, 0.1369, 0.0841
    plain = ips(world.rate[cells], world.target[cells], world.logged[cells], np.arange(20))
    assert plain.standard_error == pytest.approx(np.sqrt(20 / 19 * 5 * 1.31) / 20)


@pytest.mark.parametrize("clip", [0.5, 1.0, 2.0, 5.0, 10.0])
@pytest.mark.parametrize("never", [False, True])
def test_clipping_is_low_and_by_no_more_than_the_bound(clip: float, never: bool) -> None:
    world = Contexts()
    context, candidate = world.exact_log()
    if never:  # the log shows the first candidate of the first context never, others more often
        world.logged[0] = [0, 10 / 20, 5 / 20, 5 / 20]
        context, candidate = world.exact_log()
    cells = context, candidate
    target, logged = world.target[cells], world.logged[cells]
    found = clipped_ips(world.rate[cells], target, logged, np.arange(60), clip).value
    bound = clipping_bias_bound(target, logged, clip)
    assert found <= world.truth + 1e-12
    assert world.truth <= found + bound + 1e-12
    if clip == 10.0 and not never:
        assert (found, bound) == pytest.approx((world.truth, 0.0))


def test_the_bound_is_met_where_all_that_is_clipped_is_certain() -> None:
    target, logged = np.array([0.8, 0.2]), np.array([0.5, 0.5])
    found = clipped_ips(np.array([1.0, 0.0]), target, logged, np.array([0, 1]), 1.0).value
    assert 0.8 - found == pytest.approx(clipping_bias_bound(target, logged, 1.0))


def test_intervals_cover_as_often_as_they_claim() -> None:
    # 50 users of 1 to 10 rows; a user has a taste, and mostly one context
    world, rng, draws = Contexts(), np.random.default_rng(0), 1500
    user = np.repeat(np.arange(50), rng.integers(1, 11, size=50))
    wrong = np.full((3, 4), 0.3)
    covered: dict[str, int] = dict.fromkeys(("ips", "snips", "robust", "direct"), 0)
    for _ in range(draws):
        home, taste = rng.integers(3, size=50), rng.uniform(0.4, 1.6, size=50)
        away = rng.random(len(user)) < 0.3
        context = np.where(away, rng.integers(3, size=len(user)), home[user])
        ladder = np.cumsum(world.logged[context], axis=1)
        candidate = (rng.random(len(user))[:, None] > ladder[:, :3]).sum(axis=1)
        cells = context, candidate
        target, logged = world.target[cells], world.logged[cells]
        reward = (rng.random(len(user)) < world.rate[cells] * taste[user] / 1.6).astype(float)
        found = {
            "ips": ips(reward, target, logged, user),
            "snips": snips(reward, target, logged, user),
            "robust": doubly_robust(
                reward, target, logged, wrong[cells], world.expected(wrong)[context], user
            ),
            "direct": direct_method(world.expected(world.rate)[context] / 1.6, user),
        }
        for name, one in found.items():
            covered[name] += one.low <= world.truth / 1.6 <= one.high
    # 0.95, give or take 3 standard errors of a share in 1,500 draws: 0.017
    assert all(0.93 <= n / draws <= 0.97 for n in covered.values()), covered


def test_clusters_widen_the_interval_of_rows_that_are_alike() -> None:
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(100), 10)
    reward = np.repeat(rng.random(100) < 0.3, 10).astype(float)
    weight = rng.uniform(0.2, 0.4, 1000)
    by_user = ips(reward, weight, np.full(1000, 0.3), user).standard_error
    by_row = ips(reward, weight, np.full(1000, 0.3), np.arange(1000)).standard_error
    assert by_user > 2.5 * by_row


def test_without_any_weight_there_is_no_self_normalised_value() -> None:
    with pytest.raises(NoSupport, match="shows no candidate that was logged"):
        snips(REWARD, np.zeros(5), LOGGED, USER)
    assert ips(REWARD, np.zeros(5), LOGGED, USER).value == 0.0


@pytest.mark.parametrize(
    ("target", "logged", "message"),
    [
        ([0.5], [0.0], r"not in \(0, 1\]"),
        ([0.5], [1.1], r"not in \(0, 1\]"),
        ([-0.1], [0.5], "from 0 to 1"),
        ([1.1], [0.5], "from 0 to 1"),
        ([0.5], [np.nan], "rows whose logged"),
        ([np.nan], [0.5], "rows whose target"),
        ([0.5, 0.5], [0.5], "one length"),
        ([], [], "at least one row"),
        ([1.0], [1e-320], "rows whose weight"),
    ],
)
def test_bad_probabilities_are_refused(
    target: list[float], logged: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        importance_weights(np.array(target), np.array(logged))


def test_bad_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="rows whose reward"):
        ips(np.where(REWARD > 0, np.nan, 0), TARGET, LOGGED, USER)
    with pytest.raises(ValueError, match="one length"):
        snips(REWARD[:4], TARGET, LOGGED, USER)
    with pytest.raises(ValueError, match="one length"):
        ips(REWARD, TARGET, LOGGED, USER[:4])
    with pytest.raises(ValueError, match="rows whose predicted"):
        doubly_robust(REWARD, TARGET, LOGGED, PREDICTED * np.inf, EXPECTED, USER)
    with pytest.raises(ValueError, match="rows whose expected"):
        direct_method(EXPECTED * np.nan, USER)
    for clip in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="above 0"):
            clipped_ips(REWARD, TARGET, LOGGED, USER, clip)
