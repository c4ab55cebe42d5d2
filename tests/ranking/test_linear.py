from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.linear import LinearRanker, drawn_pairs, train_linear
from ranking.ranker import load_ranker
from ranking.recipe import Linear

PLANTED = {"cosine": 3.0, "popular": -0.5, "idle": 0.0}
WORDS = {"board": 0.0, "visual": 1.0}
PAGE = 12


def pages(seed: int, n_requests: int = 3000) -> pa.Table:
    """Pages whose saves follow a sum of the planted weights times columns of unlike spread."""
    rng = np.random.default_rng(seed)
    n = n_requests * PAGE
    columns = {
        "cosine": rng.uniform(-1, 1, n), "popular": 20 + 3 * rng.normal(size=n),
        "idle": 1e4 * rng.normal(size=n),
    }  # fmt: skip
    source = rng.choice(list(WORDS), n)
    worth = sum(PLANTED[name] * values for name, values in columns.items())
    worth = worth + np.vectorize(WORDS.get)(source)
    worth = worth - worth.mean() - 2
    return pa.table(
        {
            "request_id": np.char.zfill((np.arange(n) // PAGE).astype(str), 6),
            "candidate_pin_id": np.char.zfill((np.arange(n) % PAGE).astype(str), 2),
            "position": pa.array(np.tile(np.arange(1, PAGE + 1), n_requests), pa.int32()),
            "grade": pa.array(4 * (rng.random(n) < 1 / (1 + np.exp(-worth))), pa.int8()),
            "source": source,
            **columns,
        }
    )


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return pages(0)


@pytest.fixture(scope="module")
def ranker(rows: pa.Table) -> LinearRanker:
    return train_linear(rows, ["source", *PLANTED])


def test_planted_weights_are_recovered_up_to_one_factor(ranker: LinearRanker) -> None:
    board, visual, cosine, popular, idle = ranker.weights
    found = np.array([popular, visual - board]) / cosine
    assert found == pytest.approx([-0.5 / 3, 1 / 3], abs=0.02)
    assert abs(idle) * 1e4 < 0.02 * cosine


def test_a_column_counts_by_its_weight_times_its_spread(ranker: LinearRanker) -> None:
    shares = ranker.importances().to_pandas().set_index("feature")["gain_share"]
    assert list(shares.index) == ["source", *PLANTED]
    assert shares.sum() == pytest.approx(1)
    assert shares["cosine"] / shares["popular"] == pytest.approx(
        3 / np.sqrt(3) / (0.5 * 3), rel=0.05
    )


@given(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=6), min_size=1, max_size=8))
def test_pairs_are_of_one_request_and_the_better_one_comes_first(pages: list[list[int]]) -> None:
    grades = np.array([grade for page in pages for grade in page])
    sizes = np.array([len(page) for page in pages])
    request = np.repeat(np.arange(len(pages)), sizes)
    if not (grades > 0).any() or all(len(set(page)) == 1 for page in pages):
        return
    try:
        better, worse = drawn_pairs(sizes, grades, seed=0)
    except ValueError:
        return  # a few draws may hold no pair where nearly all candidates are equal
    assert (request[better] == request[worse]).all()
    assert (grades[better] > grades[worse]).all()


def test_pages_whose_candidates_are_all_alike_teach_nothing(rows: pa.Table) -> None:
    equal = rows.set_column(3, "grade", pa.array(np.full(len(rows), 4), pa.int8()))
    with pytest.raises(ValueError, match="different grades"):
        train_linear(equal, list(PLANTED))


def test_the_weight_is_multiplied_where_the_column_is_one_and_nowhere_else(
    rows: pa.Table, ranker: LinearRanker, tmp_path: Path
) -> None:
    by_hand = Linear("cosine", "same", 5.0)
    same = np.arange(len(rows)) % 3 == 0
    marked = rows.append_column("same", pa.array(same.astype(float)))
    weighed = train_linear(marked, ranker.seen, linear=by_hand)
    assert weighed.weights == ranker.weights
    assert weighed.columns == (*ranker.columns, "same")
    more = weighed.score(marked) - ranker.score(rows)
    cosine = ranker.weights[ranker.seen.index("cosine") + 1] * rows["cosine"].to_numpy()
    assert more == pytest.approx(np.where(same, 4 * cosine, 0))
    weighed.save(tmp_path / "arm.json")
    assert load_ranker(tmp_path / "arm.json") == weighed
    with pytest.raises(ValueError, match="lack the columns same"):
        weighed.score(rows)


def test_a_missing_value_counts_as_the_mean_and_a_new_word_as_none(
    rows: pa.Table, ranker: LinearRanker
) -> None:
    one = rows.slice(0, 1)
    mean = ranker.means[ranker.seen.index("cosine") + 1]
    asked = [
        one.set_column(one.column_names.index("cosine"), "cosine", pa.array([value], pa.float64()))
        for value in (None, np.nan, mean)
    ]
    assert len({float(ranker.score(row)[0]) for row in asked}) == 1
    fresh = one.set_column(one.column_names.index("source"), "source", pa.array(["new"]))
    known = dict(zip(("board", "visual"), ranker.weights[:2], strict=True))
    change = ranker.score(fresh)[0] - ranker.score(one)[0]
    assert change == pytest.approx(-known[one["source"][0].as_py()])


def test_candidates_alike_in_every_column_score_the_same(ranker: LinearRanker) -> None:
    twins = pages(5, 1).take([3, 3, 7])
    scores = ranker.score(twins)
    assert scores[0] == scores[1] != scores[2]
