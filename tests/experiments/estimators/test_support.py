from dataclasses import replace

import numpy as np
import pytest

from experiments.checks import overlap
from experiments.estimators.support import NoSupport, Support, require, support

GOOD = Support(effective_sample_size=5000.0, top_share=0.05, never_logged=0.0, n_rows=9000)


def test_by_hand() -> None:
    # weights 4, 2, 2, 0: 64 / 24 rows; the heaviest of four rows carries 4 / 8
    # the policy shows pairs with 0.2, 0.3, 0.5; the log never showed the second
    found = support(np.array([4.0, 2.0, 2.0, 0.0]), np.array([2.0, 3.0, 5.0]), np.array([1, 0, 7]))
    assert found == Support(pytest.approx(64 / 24), 0.5, 0.3, 4)


def test_the_policy_that_was_logged_is_fully_supported() -> None:
    found = support(np.ones(2000), np.full(10, 0.1), np.full(10, 200))
    assert found == Support(2000.0, 0.01, 0.0, 2000)
    require(found)


def test_its_limits_are_those_of_the_checks() -> None:
    rng = np.random.default_rng(0)
    told = set()
    for tail in (0.5, 1.1, 1.5, 3.0, 9.0):
        for n in (500, 1500, 30_000):
            weights = rng.pareto(tail, n)
            passed = all(check.passed for check in overlap(weights, "arm"))
            told.add(passed)
            try:
                require(support(weights, np.ones(1), np.ones(1)))
            except NoSupport:
                assert not passed
            else:
                assert passed
    assert told == {True, False}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"effective_sample_size": 999.0}, "9,000 rows are worth 999 equally weighted"),
        ({"top_share": 0.101}, "heaviest 1 % of them carry 10.1% of the weight"),
        ({"never_logged": 0.06}, "6.0% of what the policy would show was never shown"),
    ],
)
def test_a_log_without_support_is_refused_with_the_reason(
    change: dict[str, float], reason: str
) -> None:
    require(GOOD)
    with pytest.raises(NoSupport, match=reason):
        require(replace(GOOD, **change))


def test_every_reason_is_given_and_what_to_do() -> None:
    with pytest.raises(NoSupport, match=r"worth 2 .*30\.0% of the weight.*never shown.*Log more"):
        require(Support(2.0, 0.3, 0.5, 10))


def test_limits_may_be_others() -> None:
    require(Support(2.0, 0.3, 0.5, 10), min_effective=1, max_top_share=0.5, max_never_logged=0.5)
    with pytest.raises(NoSupport):
        require(GOOD, min_effective=6000)


@pytest.mark.parametrize(
    ("weights", "probability", "shown"),
    [
        ([-1.0], [1.0], [1.0]),
        ([1.0], [-1.0], [1.0]),
        ([1.0], [1.0], [-1.0]),
        ([1.0], [0.0], [1.0]),
        ([np.nan], [1.0], [1.0]),
        ([1.0], [1.0, 1.0], [1.0]),
        ([], [1.0], [1.0]),
    ],
)
def test_bad_numbers_are_refused(
    weights: list[float], probability: list[float], shown: list[float]
) -> None:
    with pytest.raises(ValueError, match=r"Give|Leave out"):
        support(np.array(weights), np.array(probability), np.array(shown))
