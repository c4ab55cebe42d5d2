from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ranking.linear import LinearRanker
from ranking.metrics import ndcg, places
from ranking.ranker import Ranker, load_ranker, train
from ranking.recipe import Linear
from ranking.rows import informative

KINDS = {"trees": None, "linear": Linear()}
N_REQUESTS, PAGE = 1500, 12
COLUMNS = ["cosine", "noise", "source", "gappy"]


def page_rows(seed: int, *, weight: float) -> pa.Table:
    """Requests whose saves depend on `cosine`, by weight, and on nothing else."""
    rng = np.random.default_rng(seed)
    n = N_REQUESTS * PAGE
    cosine, noise = rng.uniform(-1, 1, n), rng.normal(size=n)
    position = np.tile(np.arange(1, PAGE + 1), N_REQUESTS)
    saved = rng.random(n) < 1 / (1 + np.exp(2 - weight * cosine))
    return pa.table(
        {
            "request_id": [f"r{i // PAGE:05d}" for i in range(n)],
            "candidate_pin_id": [f"p{i % PAGE:02d}" for i in range(n)],
            "position": pa.array(position, pa.int32()),
            "grade": pa.array(4 * saved, pa.int8()),
            "cosine": pa.array(cosine, pa.float32()),
            "noise": pa.array(noise, pa.float32()),
            "source": rng.choice(["board", "visual"], n),
            "gappy": pa.array(noise, mask=rng.random(n) < 0.9, type=pa.float32()),
        }
    )


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return page_rows(1, weight=5.0)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Linear | None:
    return KINDS[request.param]


@pytest.fixture(scope="module")
def ranker(rows: pa.Table, kind: Linear | None) -> Ranker:
    return train(rows, COLUMNS, seed=3, n_trees=100, linear=kind)


def saved(ranker: Ranker, folder: Path) -> str:
    """The text of its file."""
    path = folder / ("arm.json" if isinstance(ranker, LinearRanker) else "arm.txt")
    ranker.save(path)
    return path.read_text()


def mean_ndcg(ranker: Ranker, rows: pa.Table) -> float:
    requests = np.repeat(np.arange(N_REQUESTS), PAGE)
    at = places(requests, ranker.score(rows), rows["candidate_pin_id"])
    return float(ndcg(requests, at, rows["grade"].to_numpy()).mean())


def test_where_one_feature_decides_the_saves_the_order_follows_it(ranker: Ranker) -> None:
    fresh = page_rows(2, weight=5.0)
    scores = ranker.score(fresh)
    assert np.corrcoef(scores, fresh["cosine"].to_numpy())[0, 1] > 0.95
    share = dict(zip(*ranker.importances().select([0, 1]).to_pydict().values(), strict=True))
    assert max(share, key=lambda feature: share[feature]) == "cosine"
    assert share["cosine"] > 0.5
    assert sum(share.values()) == pytest.approx(1)


def test_where_nothing_decides_the_saves_the_order_is_no_better_than_chance(
    kind: Linear | None,
) -> None:
    noise = train(page_rows(3, weight=0.0), COLUMNS, n_trees=20, linear=kind)
    fresh = page_rows(4, weight=0.0)
    requests = np.repeat(np.arange(N_REQUESTS), PAGE)
    rng = np.random.default_rng(0)
    chance = [
        ndcg(requests, places(requests, rng.random(len(fresh)), fresh["candidate_pin_id"]),
             fresh["grade"].to_numpy()).mean()
        for _ in range(50)
    ]  # fmt: skip
    assert abs(mean_ndcg(noise, fresh) - np.mean(chance)) < 4 * np.std(chance)


def test_what_production_liked_is_not_taken_for_what_people_like(kind: Linear | None) -> None:
    """Pages mostly ordered by an old score that causes nothing, the first places looked at most."""
    rng = np.random.default_rng(5)
    n = 4 * N_REQUESTS * PAGE
    requests = np.repeat(np.arange(n // PAGE), PAGE)
    cosine, old = rng.uniform(-1, 1, n), rng.normal(size=n)
    shuffled = np.repeat(rng.random(n // PAGE) < 0.1, PAGE)
    position = places(requests, np.where(shuffled, rng.normal(size=n), old), np.arange(n))
    saved = (rng.random(n) < position**-0.7) & (rng.random(n) < 1 / (1 + np.exp(2 - 2 * cosine)))
    rows = pa.table(
        {
            "request_id": np.char.zfill(requests.astype(str), 6),
            "candidate_pin_id": np.char.zfill(np.arange(n).astype(str), 6),
            "position": pa.array(position, pa.int32()),
            "grade": pa.array(4 * saved, pa.int8()),
            "cosine": pa.array(cosine, pa.float32()),
            "old": pa.array(old, pa.float32()),
        }
    )
    weights = []
    for table in (rows, rows.set_column(2, "position", pa.array(np.ones(n), pa.int32()))):
        scores = train(table, ["cosine", "old"], n_trees=40, linear=kind).score(rows)
        slopes = np.linalg.lstsq(np.column_stack([cosine, old, np.ones(n)]), scores)[0]
        weights.append(abs(slopes[1] / slopes[0]))
    aware, blind = weights
    assert aware < blind / 2


def test_the_order_of_the_rows_makes_no_difference(
    rows: pa.Table, ranker: Ranker, kind: Linear | None, tmp_path: Path
) -> None:
    shuffled = rows.take(np.random.default_rng(0).permutation(len(rows)))
    again = train(shuffled, COLUMNS, seed=3, n_trees=100, linear=kind)
    assert saved(again, tmp_path) == saved(ranker, tmp_path)


def test_several_threads_give_the_same_ranker(
    rows: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = pa.array([f"r{i // 2:05d}" for i in range(len(rows))])  # many: drawn in parallel
    many = rows.set_column(rows.column_names.index("request_id"), "request_id", requests)

    def trees() -> str:
        text = train(many, COLUMNS, seed=3, n_trees=5).booster.model_to_string()
        return text.split("parameters:")[0]

    alone = trees()
    monkeypatch.setattr("ranking.ranker.FEW_ROWS", 0)
    assert [trees() for _ in range(3)] == [alone] * 3


def test_another_seed_gives_another_ranker_of_the_same_worth(
    rows: pa.Table, ranker: Ranker, kind: Linear | None
) -> None:
    other = train(rows, COLUMNS, seed=4, n_trees=100, linear=kind)
    fresh = page_rows(7, weight=5.0)
    assert not np.array_equal(other.score(fresh), ranker.score(fresh))
    assert mean_ndcg(other, fresh) == pytest.approx(mean_ndcg(ranker, fresh), abs=0.01)


def test_a_batch_scores_as_its_rows_one_by_one(rows: pa.Table, ranker: Ranker) -> None:
    some = rows.slice(0, 20)
    one_by_one = [ranker.score(some.slice(i, 1))[0] for i in range(20)]
    assert np.array_equal(ranker.score(some), one_by_one)
    assert len(ranker.score(some.slice(0, 0))) == 0


def test_a_saved_ranker_scores_the_same_after_loading(
    rows: pa.Table, ranker: Ranker, tmp_path: Path
) -> None:
    saved(ranker, tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == (["arm.json"] if isinstance(ranker, LinearRanker) else ["arm.json", "arm.txt"])
    loaded = load_ranker(tmp_path / names[-1])
    assert np.array_equal(loaded.score(rows), ranker.score(rows))
    assert (type(loaded), loaded.columns, loaded.vocabulary, loaded.seed) == (
        type(ranker), ranker.columns, {"source": ("board", "visual")}, 3,
    )  # fmt: skip
    with pytest.raises(FileNotFoundError, match="train the arm again"):
        load_ranker(tmp_path / f"other.{names[-1].split('.')[1]}")


def test_missing_values_and_new_words_are_scored_and_absent_columns_refused(
    rows: pa.Table, ranker: Ranker
) -> None:
    n = len(rows)
    empty = rows.set_column(
        rows.column_names.index("source"), "source", pa.array(["never seen"] * n)
    ).set_column(rows.column_names.index("cosine"), "cosine", pa.nulls(n, pa.float64()))
    assert np.isfinite(ranker.score(empty)).all()
    with pytest.raises(ValueError, match="lack the columns noise"):
        ranker.score(rows.drop_columns(["noise"]))


def test_only_requests_that_were_acted_on_are_learnt_from(
    rows: pa.Table, kind: Linear | None
) -> None:
    kept = informative(rows)
    acted = set(rows.filter(pa.compute.greater(rows["grade"], 0))["request_id"].to_pylist())
    assert set(kept["request_id"].to_pylist()) == acted
    assert informative(kept) is kept
    nothing = rows.filter(pa.compute.equal(rows["grade"], 0))
    with pytest.raises(ValueError, match="was acted on"):
        train(nothing, COLUMNS, linear=kind)
