from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import minimize
from statsmodels.stats.contingency_tables import StratifiedTable

from experiments.estimators.examination import curve
from experiments.estimators.regression_em import adjacent_chain, regression_em

THETA = np.array([1.0, 0.75, 0.55, 0.4, 0.3])

# Pair 0 at positions 1, 1, 2, pair 1 at 1, 2, 2, 3, pair 2 at 2, 3, pair 3 at 3 only.
PAIR = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 3])
POSITION = np.array([1, 1, 2, 1, 2, 2, 3, 2, 3, 3])
CLICKED = np.array([1, 1, 1, 1, 1, 0, 0, 1, 1, 1])


@dataclass(frozen=True)
class Traffic:
    pair: np.ndarray
    position: np.ndarray
    clicked: np.ndarray


def traffic(rng: np.random.Generator, n_rows: int, spread: float, n_pairs: int = 400) -> Traffic:
    """Impressions by the position-based model.

    The better a pair, the higher it stands, give or take `spread` positions; infinite: anywhere.
    """
    relevance = rng.beta(1.5, 4.0, n_pairs)
    home = np.argsort(np.argsort(-relevance)) * 5 // n_pairs
    pair = rng.integers(n_pairs, size=n_rows)
    moved = np.rint(home[pair] + rng.normal(0, min(spread, 9), n_rows)).astype(int)
    anywhere = rng.integers(5, size=n_rows)
    position = 1 + (anywhere if np.isinf(spread) else np.clip(moved, 0, 4))
    clicked = rng.random(n_rows) < THETA[position - 1] * relevance[pair]
    return Traffic(pair, position, clicked.astype(float))


def rates(log: Traffic) -> np.ndarray:
    rate = np.bincount(log.position, log.clicked)[1:] / np.bincount(log.position)[1:]
    return np.asarray(rate / rate[0])


def test_chain_by_hand() -> None:
    # 1 to 2: pair 0: 2 of 2 and 1 of 1; pair 1: 1 of 1 and 1 of 2
    #   (1 * 2 / 3 + 1 * 1 / 3) / (2 * 1 / 3 + 1 * 2 / 3) = 3/4
    # 2 to 3: pair 1: 1 of 2 and 0 of 1; pair 2: 1 of 1 and 1 of 1
    #   (0 + 1 * 1 / 2) / (1 * 1 / 3 + 1 * 1 / 2) = 3/5
    found = adjacent_chain(PAIR, POSITION, CLICKED)
    assert found == pytest.approx([1, 3 / 4, 3 / 4 * 3 / 5])


def test_a_step_of_the_chain_is_the_risk_ratio_of_mantel_and_haenszel() -> None:
    log = traffic(np.random.default_rng(0), 3000, 1.0, n_pairs=60)
    tables = []
    for pair in range(60):
        lower, upper = (log.clicked[(log.pair == pair) & (log.position == k)] for k in (2, 1))
        if len(lower) and len(upper):
            tables.append([[x.sum(), len(x) - x.sum()] for x in (lower, upper)])
    expected = StratifiedTable(np.array(tables).transpose(1, 2, 0)).riskratio_pooled
    found = adjacent_chain(log.pair, log.position, log.clicked)
    assert found[1] == pytest.approx(expected)


def test_chain_of_equal_pairs_is_the_ratio_of_their_rates() -> None:
    # every pair ten times at each position: the paper's own weights
    rng = np.random.default_rng(1)
    pair, position = (i.ravel().repeat(10) for i in np.indices((300, 5)))
    clicked = (rng.random(len(pair)) < THETA[position] * 0.5).astype(float)
    found = adjacent_chain(pair, position + 1, clicked)
    assert found == pytest.approx(rates(Traffic(pair, position + 1, clicked)))


def test_the_likelihood_never_falls() -> None:
    for seed, spread in enumerate((0.6, 1.0, 2.0, np.inf)):
        log = traffic(np.random.default_rng(seed), 8000, spread)
        path = regression_em(log.pair, log.position, log.clicked).log_likelihood
        assert len(path) > 5
        assert (np.diff(path) >= -1e-9 * abs(path[0])).all()
        assert path[-1] > path[0]


def test_nothing_is_more_likely() -> None:
    # a general optimiser of the same likelihood, on logits of the 5 + 40 probabilities
    log = traffic(np.random.default_rng(5), 6000, 1.5, n_pairs=40)

    def loss(x: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-x))
        rate = p[log.position - 1] * p[5 + log.pair]
        return float(-np.log(np.where(log.clicked == 1, rate, 1 - rate)).sum())

    best = minimize(loss, np.zeros(45), method="L-BFGS-B", options={"maxfun": 60_000})
    theta = 1 / (1 + np.exp(-best.x[:5]))
    found = regression_em(log.pair, log.position, log.clicked)
    assert found.log_likelihood[-1] == pytest.approx(-best.fun, abs=0.02)
    assert found.examination == pytest.approx(theta / theta[0], abs=0.01)


def test_in_random_order_it_is_the_curve_of_the_rates() -> None:
    log = traffic(np.random.default_rng(6), 400_000, np.inf)
    shown = np.bincount(log.position)[1:].astype(float)
    expected = curve(shown, np.bincount(log.position, log.clicked)[1:])
    found = regression_em(log.pair, log.position, log.clicked).examination
    chain = adjacent_chain(log.pair, log.position, log.clicked)
    assert found[0] == chain[0] == 1.0
    assert found == pytest.approx(expected, abs=0.005)
    assert chain == pytest.approx(expected, abs=0.01)
    # 21,000 clicks at position 1, 6,000 at 5: standard errors under 0.01
    assert found == pytest.approx(THETA, abs=0.02)


def test_in_production_order_it_finds_what_click_rates_hide() -> None:
    found, chain, naive = [], [], []
    for seed in range(6):
        log = traffic(np.random.default_rng(10 + seed), 60_000, 0.8)
        found.append(regression_em(log.pair, log.position, log.clicked).examination)
        chain.append(adjacent_chain(log.pair, log.position, log.clicked))
        naive.append(rates(log))
    assert np.mean(found, axis=0) == pytest.approx(THETA, abs=0.03)
    assert np.mean(chain, axis=0) == pytest.approx(THETA, abs=0.03)
    assert (np.mean(naive, axis=0)[1:] < 0.8 * THETA[1:]).all()


def test_rows_in_any_order_and_pairs_shown_once_change_nothing() -> None:
    log = traffic(np.random.default_rng(20), 5000, 1.0, n_pairs=100)
    once = Traffic(
        np.append(log.pair, [100, 101]), np.append(log.position, [2, 5]),
        np.append(log.clicked, [1.0, 1.0]),
    )  # fmt: skip
    order = np.random.default_rng(21).permutation(5002)
    expected = regression_em(log.pair, log.position, log.clicked).examination
    found = regression_em(once.pair[order], once.position[order], once.clicked[order])
    assert found.examination == pytest.approx(expected, rel=1e-6)
    chain = adjacent_chain(once.pair[order], once.position[order], once.clicked[order])
    assert chain == pytest.approx(adjacent_chain(log.pair, log.position, log.clicked))


def test_positions_that_no_pair_links_are_refused() -> None:
    # pair 0 at 1 and 2, pair 1 at 3 and 4
    pair, position = np.array([0, 0, 1, 1]), np.array([1, 2, 3, 4])
    with pytest.raises(ValueError, match=r"link positions \[3, 4\] to position 1"):
        regression_em(pair, position, np.ones(4))
    with pytest.raises(ValueError, match="positions 2 and 3"):
        adjacent_chain(pair, position, np.ones(4))


def test_without_a_click_where_it_is_needed_they_refuse() -> None:
    nothing = np.where(POSITION == 1, 0, CLICKED)
    with pytest.raises(ValueError, match="clicked at the first"):
        regression_em(PAIR, POSITION, nothing)
    with pytest.raises(ValueError, match="was clicked at 1"):
        adjacent_chain(PAIR, POSITION, nothing)


@pytest.mark.parametrize(
    ("pair", "position", "clicked", "message"),
    [
        ([0, 0], [1, 2], [1.0, 0.5], "0 or 1"),
        ([0, 0], [0, 1], [1.0, 1.0], "positions from 1"),
        ([-1, 0], [1, 2], [1.0, 1.0], "pairs from 0"),
        ([0, 0], [1, 2], [1.0, np.nan], "rows whose clicked"),
        ([0, 0], [1, 2], [1.0], "one length"),
        ([], [], [], "at least one row"),
    ],
)
def test_bad_rows_are_refused(
    pair: list[int], position: list[int], clicked: list[float], message: str
) -> None:
    columns = np.array(pair, int), np.array(position, int), np.array(clicked)
    for estimate in (regression_em, adjacent_chain):
        with pytest.raises(ValueError, match=message):
            estimate(*columns)
