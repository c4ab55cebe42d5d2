import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from experiments.statistics.stability import bin_shares, decile_edges, noise, psi

weights = st.lists(st.floats(0.01, 1), min_size=4, max_size=4)


def shares(raw: list[float]) -> np.ndarray:
    return np.array(raw) / sum(raw)


def test_hand_worked_table() -> None:
    """(.3-.2) ln 1.5 + (.3-.3) ln 1 + (.4-.5) ln .8 = .040547 + 0 + .022314."""
    found = psi(np.array([0.2, 0.3, 0.5]), np.array([0.3, 0.3, 0.4]))
    assert found == pytest.approx(0.062861, abs=1e-6)


def test_an_empty_bin_counts_as_one_in_ten_thousand() -> None:
    found = psi(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    expected = -0.5 * np.log(0.5) + (0.5 - 1e-4) * np.log(0.5 / 1e-4)
    assert found == pytest.approx(expected)


@given(weights, weights)
def test_it_is_the_symmetric_kullback_leibler_divergence(
    one: list[float], other: list[float]
) -> None:
    p, q = shares(one), shares(other)
    assert psi(p, q) == pytest.approx(entropy(p, q) + entropy(q, p), abs=1e-12)
    assert psi(p, q) == pytest.approx(psi(q, p), abs=1e-12)
    assert psi(p, q) >= 0
    assert psi(p, p) == 0


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, np.nan]), min_size=1, max_size=50))
def test_a_sample_has_not_moved_from_itself(values: list[float]) -> None:
    sample = np.array(values)
    found = bin_shares(sample, decile_edges(sample))
    assert found.sum() == pytest.approx(1)
    assert psi(found, found) == 0


def test_continuous_values_fill_ten_bins_alike() -> None:
    sample = np.random.default_rng(0).normal(size=100_000)
    found = bin_shares(sample, decile_edges(sample))
    assert found[:-1] == pytest.approx(np.full(10, 0.1), abs=1e-4)
    assert found[-1] == 0


@pytest.mark.parametrize("common", [0.0, 1.0])
def test_a_common_value_becoming_rarer_is_seen(common: float) -> None:
    reference = np.array([common] * 95 + [1 - common] * 5)
    moved = np.array([common] * 50 + [1 - common] * 50)
    edges = decile_edges(reference)
    found = psi(bin_shares(reference, edges), bin_shares(moved, edges))
    assert found == pytest.approx(psi(np.array([0.95, 0.05]), np.array([0.5, 0.5])))


def test_nulls_are_a_bin_of_their_own() -> None:
    reference = np.arange(100.0)
    moved = reference.copy()
    moved[::2] = np.nan
    edges = decile_edges(reference)
    assert psi(bin_shares(reference, edges), bin_shares(moved, edges)) > 0.25


def test_chance_exceeds_the_noise_as_often_as_it_says() -> None:
    """1,000 draws at level 0.1: four standard errors are 0.038."""
    rng = np.random.default_rng(1)
    edges = decile_edges(rng.normal(size=200_000))
    limit = noise(4_000, 1_000, 10, 0.1)
    found = [
        psi(bin_shares(rng.normal(size=4_000), edges), bin_shares(rng.normal(size=1_000), edges))
        for _ in range(1_000)
    ]
    assert np.mean(np.array(found) > limit) == pytest.approx(0.1, abs=0.038)


def test_without_observations_or_bins() -> None:
    assert noise(0, 10, 10, 0.1) == np.inf
    assert noise(10, 10, 1, 0.1) == 0
    assert len(decile_edges(np.array([np.nan]))) == 0
    assert bin_shares(np.array([]), np.array([1.0])).tolist() == [0, 0, 0]
