import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.statistics.moments import Moments

EMPTY = Moments.of(np.empty((0, 2)))

numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
matrices = st.integers(0, 8).flatmap(lambda n: arrays(np.float64, (n, 2), elements=numbers))


def same(one: Moments, other: Moments) -> None:
    assert one.n == other.n
    assert one.mean == pytest.approx(other.mean, rel=1e-9, abs=1e-6)
    assert one.comoment == pytest.approx(other.comoment, rel=1e-9, abs=1e-2)


def test_they_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).gamma(2.0, 3.0, (500, 3))
    found = Moments.of(values)
    assert found.n == 500
    assert found.mean == pytest.approx(values.mean(axis=0))
    assert found.covariance == pytest.approx(np.cov(values, rowvar=False))
    assert found.covariance_of_mean == pytest.approx(np.cov(values, rowvar=False) / 500)


def test_a_table_worked_by_hand() -> None:
    found = Moments.of([[1, 2], [3, 2], [5, 8]])
    assert found.mean.tolist() == [3, 4]
    assert found.comoment.tolist() == [[8, 12], [12, 24]]
    assert found.covariance.tolist() == [[4, 6], [6, 12]]


@given(matrices, matrices)
def test_parts_add_up_to_the_whole(one: np.ndarray, other: np.ndarray) -> None:
    same(Moments.of(one) + Moments.of(other), Moments.of(np.concatenate([one, other])))


@given(matrices, matrices, matrices)
def test_order_and_grouping_do_not_matter(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    x, y, z = Moments.of(a), Moments.of(b), Moments.of(c)
    same(x + y, y + x)
    same((x + y) + z, x + (y + z))


@given(matrices)
def test_nobody_adds_nothing(values: np.ndarray) -> None:
    some = Moments.of(values)
    for found in (some + EMPTY, EMPTY + some):
        assert found.n == some.n
        assert found.mean.tolist() == some.mean.tolist()
        assert found.comoment.tolist() == some.comoment.tolist()


def test_small_variance_survives_a_large_mean() -> None:
    small = np.random.default_rng(1).integers(0, 10, (10_000, 1)).astype(float)
    parts = np.split(small + 1e8, 100)
    total = sum((Moments.of(part) for part in parts), Moments.of(np.empty((0, 1))))
    assert total.covariance[0, 0] == pytest.approx(small.var(ddof=1), rel=1e-9)
    # sums of squares lose it: 1e16 has no digit left for a variance of 8
    naive = (np.square(small + 1e8).sum() - 10_000 * (small + 1e8).mean() ** 2) / 9_999
    assert naive != pytest.approx(small.var(ddof=1), rel=1e-3)


def test_a_summary_says_the_same_as_the_values() -> None:
    values = np.random.default_rng(2).normal(5, 2, (300, 1))
    summary = Moments.of_summary(300, values.mean(), values.var(ddof=1))
    same(summary, Moments.of(values))


def test_fewer_than_two_units_have_no_covariance() -> None:
    for found in (EMPTY, Moments.of([[1.0, 2.0]])):
        assert np.isnan(found.covariance).all()
        assert np.isnan(found.covariance_of_mean).all()


def test_affine_columns_are_those_of_affine_values() -> None:
    rng = np.random.default_rng(3)
    values, weights, constant = (
        rng.normal(size=(50, 3)),
        rng.normal(size=(2, 3)),
        rng.normal(size=2),
    )
    same(Moments.of(values).affine(weights, constant), Moments.of(values @ weights.T + constant))


def test_ratios_are_of_sums_and_their_variance_that_of_the_jackknife() -> None:
    rng = np.random.default_rng(4)
    requests = 1 + rng.poisson(3.0, 400)
    values = np.stack([rng.binomial(requests, 0.2), requests], axis=1).astype(float)
    found = Moments.of(values).linearised_ratios()
    sums = values.sum(axis=0)
    assert found.mean[0] == pytest.approx(sums[0] / sums[1])
    without = sums - values
    left = without[:, 0] / without[:, 1]
    jackknife = 399 / 400 * np.square(left - left.mean()).sum()
    assert found.covariance_of_mean[0, 0] == pytest.approx(jackknife, rel=0.01)


def test_without_a_denominator_there_is_no_ratio() -> None:
    found = Moments.of([[1, 0, 1, 2], [2, 0, 3, 2]]).linearised_ratios()
    assert np.isnan(found.mean[0])
    assert found.mean[1] == 1
    assert found.comoment[1, 1] == pytest.approx(0.5)


def test_what_cannot_be_summed_is_refused() -> None:
    with pytest.raises(ValueError, match="one row per unit"):
        Moments.of([1.0, 2.0])
    with pytest.raises(ValueError, match="missing or infinite"):
        Moments.of([[1.0], [np.nan]])
    with pytest.raises(ValueError, match="same columns"):
        Moments.of([[1.0]]) + EMPTY
    with pytest.raises(ValueError, match="denominator column"):
        Moments.of([[1.0]]).linearised_ratios()
