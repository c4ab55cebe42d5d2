import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from experiments.estimators.estimate import clustered, numbers

# user -> influences of their rows
TABLES = st.lists(st.tuples(st.integers(0, 4), st.floats(-10, 10)), min_size=2, max_size=20).filter(
    lambda rows: len({user for user, _ in rows}) > 1
)


def test_by_hand() -> None:
    found = clustered(np.array([1.0, 2.0, -2.0, -1.0]), np.array([7, 7, 9, 9]), 10.0, np.ones(4))
    # sums 3 and -3; 2 / 1 * (9 + 9) = 36; sqrt(36) / 4 = 1.5; t(0.975, 1) = 12.7062
    assert found.standard_error == pytest.approx(1.5)
    assert (found.low, found.high) == pytest.approx((10 - 1.5 * 12.7062, 10 + 1.5 * 12.7062))
    assert (found.value, found.n_rows, found.n_users) == (10.0, 4, 2)
    assert found.effective_sample_size == 4.0


def test_without_clusters_it_is_the_t_test() -> None:
    x = np.random.default_rng(0).gamma(2.0, size=40)
    found = clustered(x - x.mean(), np.arange(40), float(x.mean()), np.ones(40))
    interval = ttest_1samp(x, 0.0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_with_clusters_it_is_that_of_statsmodels() -> None:
    rng = np.random.default_rng(1)
    user = rng.integers(12, size=200)
    x = rng.normal(size=12)[user] + rng.normal(size=200)
    fit = sm.OLS(x, np.ones(200)).fit(
        cov_type="cluster", cov_kwds={"groups": user, "df_correction": True}, use_t=True
    )
    found = clustered(x - x.mean(), user, float(x.mean()), np.ones(200))
    # its correction is G / (G - 1) * (N - 1) / (N - 1) with one regressor
    assert found.standard_error == pytest.approx(float(fit.bse[0]))
    assert (found.low, found.high) == pytest.approx(tuple(fit.conf_int()[0]))


@given(TABLES)
def test_it_is_the_sum_over_users_in_plain_python(rows: list[tuple[int, float]]) -> None:
    sums: dict[int, float] = {}
    for user, influence in rows:
        sums[user] = sums.get(user, 0.0) + influence
    squares = sum(x * x for x in sums.values())
    expected = (len(sums) / (len(sums) - 1) * squares) ** 0.5 / len(rows)
    user, influence = (np.array(column) for column in zip(*rows, strict=True))
    found = clustered(influence, user, 0.0, np.ones(len(rows)))
    assert found.standard_error == pytest.approx(expected, abs=1e-12)


def test_order_and_names_of_users_do_not_matter() -> None:
    rng = np.random.default_rng(2)
    influence, user = rng.normal(size=50), rng.integers(9, size=50)
    shuffled = rng.permutation(50)
    one = clustered(influence, user, 0.0, np.ones(50))
    other = clustered(influence[shuffled], -1000 * user[shuffled], 0.0, np.ones(50))
    assert other.standard_error == pytest.approx(one.standard_error)
    assert other.n_users == one.n_users


def test_one_user_says_nothing_of_the_error() -> None:
    found = clustered(np.array([1.0, -1.0]), np.array([3, 3]), 0.5, np.ones(2))
    assert found.value == 0.5
    assert np.isnan([found.standard_error, found.low, found.high]).all()


def test_the_effective_size_is_that_of_the_weights() -> None:
    found = clustered(np.zeros(2), np.array([0, 1]), 0.0, np.array([3.0, 1.0, 0.0]))
    assert (found.n_rows, found.effective_sample_size) == (3, 1.6)  # 4^2 / (9 + 1)


def test_intervals_cover_as_often_as_they_claim() -> None:
    # 20 users of 1 to 15 rows, alike within a user: the mean of all rows, 4,000 times
    rng, covered, draws = np.random.default_rng(3), 0, 4000
    user = np.repeat(np.arange(20), rng.integers(1, 16, size=20))
    for _ in range(draws):
        x = rng.normal(size=20)[user] + rng.normal(size=len(user))
        found = clustered(x - x.mean(), user, float(x.mean()), np.ones(len(user)))
        covered += found.low <= 0 <= found.high
    # unequal clusters cost a little; 3 standard errors of a share of 0.95 in 4,000 draws are 0.010
    assert 0.93 <= covered / draws <= 0.96


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": np.ones(2), "b": np.ones(3)}, "one length"),
        ({"a": np.ones((2, 2))}, "one length"),
        ({"a": np.array([])}, "at least one row of a"),
        ({"a": np.ones(2), "b": np.array([1.0, np.nan])}, "rows whose b"),
        ({"a": np.array([np.inf])}, "rows whose a"),
    ],
)
def test_what_is_not_a_table_of_numbers_is_refused(
    columns: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        numbers(**columns)
