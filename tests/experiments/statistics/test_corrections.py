from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from experiments.statistics.corrections import benjamini_hochberg, holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@settings(max_examples=10)  # statsmodels takes 0.1 s
@given(p_values)
def test_they_are_those_of_statsmodels(given_values: list[float]) -> None:
    expected = multipletests(given_values, method="holm")[1]
    assert holm(given_values) == pytest.approx(expected)
    expected = multipletests(given_values, method="fdr_bh")[1]
    assert benjamini_hochberg(given_values) == pytest.approx(expected)


@given(p_values)
def test_holm_is_the_stricter_and_neither_helps(given_values: list[float]) -> None:
    triples = zip(given_values, benjamini_hochberg(given_values), holm(given_values), strict=True)
    for plain, discovery, familywise in triples:
        assert plain <= discovery + 1e-12 <= familywise + 2e-12


@given(st.lists(st.one_of(st.floats(0, 1), st.just(nan)), max_size=12))
def test_what_is_not_known_does_not_count(given_values: list[float]) -> None:
    known = [p for p in given_values if not isnan(p)]
    for correct in (holm, benjamini_hochberg):
        found = correct(given_values)
        assert [isnan(p) for p in found] == [isnan(p) for p in given_values]
        assert [p for p in found if not isnan(p)] == correct(known)


def test_nothing_stays_nothing() -> None:
    assert holm([]) == benjamini_hochberg([]) == []


def test_errors_are_as_rare_as_promised() -> None:
    # 16 true nulls and 4 real effects per family
    rng, n_families = np.random.default_rng(0), 2_000
    families = rng.random((n_families, 20))
    families[:, :4] = families[:, :4] ** 6
    any_false, false_share, found = [], [], []
    for family in families:
        strict = np.array(holm(family.tolist())) <= 0.05
        any_false.append(strict[4:].any())
        loose = np.array(benjamini_hochberg(family.tolist())) <= 0.05
        false_share.append(loose[4:].sum() / max(loose.sum(), 1))
        found.append((strict[:4].sum(), loose[:4].sum()))
    margin = 4 * np.sqrt(0.05 * 0.95 / n_families)
    assert np.mean(any_false) <= 0.05 + margin
    assert np.mean(any_false) >= 0.02  # Holm is not idle
    assert np.mean(false_share) == pytest.approx(0.05 * 16 / 20, abs=margin)
    strict_found, loose_found = np.mean(found, axis=0)
    assert loose_found > strict_found > 0
