import json
from pathlib import Path

import numpy as np
import pytest

from ranking.engagement import refresh_engagement
from ranking.metrics import METRICS
from ranking.ranker import load_ranker
from ranking.ranking import (
    Model,
    holdout_metrics,
    metrics_if_published,
    rank_candidates,
    train_arm,
    training_table,
)
from sql.database import Database
from sql.tables import ENGAGEMENT_FEATURES

ENGAGEMENT = ["source", *ENGAGEMENT_FEATURES]
WHOLE_IMAGE, NOISE = ["whole_cosine", *ENGAGEMENT], ["crop_cosine", "source"]
CUTOFF, DATE = 4, 5  # days of the log; trained on days 0 to 3


@pytest.fixture
def ready(database: Database, log: object, tmp_path: Path) -> Database:
    log.ingest(database, tmp_path / "source")
    refresh_engagement(database, log.day(0), log.day(DATE), log.day(CUTOFF))
    return database


def trained(database: Database, log: object, home: Path, arm: str = "whole_image",
            columns: list[str] = WHOLE_IMAGE, seed: int = 1) -> Model:  # fmt: skip
    days = log.day(0), log.day(CUTOFF - 1)
    return train_arm(database, home, log.day(DATE), arm, columns, "v1", *days, seed)


def test_training_rows_are_those_of_requests_acted_on_in_the_training_days(
    ready: Database, log: object
) -> None:
    rows = training_table(ready, "v1", WHOLE_IMAGE, log.day(0), log.day(3))
    assert rows.column_names == [
        "request_id", "candidate_pin_id", "position", "grade", *WHOLE_IMAGE
    ]  # fmt: skip
    requests = log.tables["requests"].to_pandas()
    early = requests[requests["requested_at"].dt.date <= log.day(3)]["request_id"]
    saves = log.tables["engagements"].to_pandas()["request_id"]
    assert set(rows["request_id"].to_pylist()) == set(early) & set(saves)
    assert {str(rows[name].type) for name in WHOLE_IMAGE} == {"float", "string"}


def test_what_happened_after_the_training_days_is_no_label(
    database: Database, log: object, tmp_path: Path
) -> None:
    """The last request of day 3 is saved from after midnight: that belongs to the held-out days."""
    requests = log.tables["requests"].to_pandas()
    last = requests[requests["requested_at"].dt.date == log.day(3)].iloc[-1]["request_id"]
    saves = log.tables["engagements"].to_pandas()
    others = saves[saves["request_id"] != last]
    log.tables["engagements"] = log.tables["engagements"].take(others.index.to_numpy())
    shown = log.tables["impressions"].to_pandas()
    saved = shown[shown["request_id"] == last].iloc[0]["candidate_pin_id"]
    log.add("engagements", request_id=last, candidate_pin_id=saved, action="save",
            engaged_at=np.datetime64(log.day(CUTOFF), "us").item())  # fmt: skip
    log.ingest(database, tmp_path / "source")
    refresh_engagement(database, log.day(0), log.day(DATE), log.day(CUTOFF))
    known = [
        set(training_table(database, "v1", NOISE, log.day(0), log.day(n))["request_id"].to_pylist())
        for n in (3, 4)
    ]
    assert last not in known[0]
    assert last in known[1]


def test_an_arm_leaves_its_model_its_row_and_its_importances(
    ready: Database, log: object, tmp_path: Path
) -> None:
    model = trained(ready, log, tmp_path)
    assert model.path == f"models/{log.day(DATE)}/whole_image.txt"
    assert ready.read("SELECT * FROM models").to_pylist() == [model.__dict__]
    ranker = load_ranker(tmp_path / model.path)
    assert list(ranker.columns) == json.loads(model.columns) == WHOLE_IMAGE
    importances = ready.read("SELECT * FROM feature_importances").to_pandas()
    assert set(importances["feature"]) == set(WHOLE_IMAGE)
    assert importances["gain_share"].sum() == pytest.approx(1)
    assert importances.set_index("feature")["gain_share"].idxmax() == "whole_cosine"


def test_every_candidate_gets_a_rank_from_1_without_gaps_and_ties_go_by_pin(
    ready: Database, log: object, tmp_path: Path
) -> None:
    days = log.day(DATE), log.day(CUTOFF)
    trained(ready, log, tmp_path, "source_only", ["source"])
    n_pairs = len(log.tables["candidates"])
    assert rank_candidates(ready, tmp_path, *days, "source_only") == n_pairs
    ranked = ready.read("SELECT * FROM rankings ORDER BY query_pin_id, rank").to_pandas()
    assert len(ranked) == n_pairs
    for _, page in ranked.groupby("query_pin_id"):
        assert page["rank"].tolist() == list(range(1, len(page) + 1))
        expected = page.sort_values(["score", "candidate_pin_id"], ascending=[False, True])
        assert page["candidate_pin_id"].tolist() == expected["candidate_pin_id"].tolist()
    assert ranked["score"].nunique() <= 2  # so that there were ties


def test_a_candidate_without_pair_features_is_ranked_too(
    ready: Database, log: object, tmp_path: Path
) -> None:
    with ready.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM pair_features WHERE candidate_pin_id = 'c03'")
    trained(ready, log, tmp_path)
    n_pairs = rank_candidates(ready, tmp_path, log.day(DATE), log.day(CUTOFF), "whole_image")
    assert n_pairs == len(log.tables["candidates"])


def test_metrics_before_publishing_are_those_after_it_and_write_nothing(
    ready: Database, log: object, tmp_path: Path
) -> None:
    days = log.day(DATE), log.day(CUTOFF)
    trained(ready, log, tmp_path)
    expected = metrics_if_published(ready, tmp_path, *days, "whole_image")
    assert len(ready.read("SELECT * FROM rankings")) == 0
    assert len(ready.read("SELECT * FROM ranking_metrics")) == 0
    rank_candidates(ready, tmp_path, *days, "whole_image")
    assert holdout_metrics(ready, days[0], "whole_image", days[1]) == expected


def test_the_arm_that_sees_what_decides_the_saves_wins_on_the_held_out_days(
    ready: Database, log: object, tmp_path: Path
) -> None:
    days = log.day(DATE), log.day(CUTOFF)
    values = {}
    for arm, columns in (("whole_image", WHOLE_IMAGE), ("noise", NOISE)):
        trained(ready, log, tmp_path, arm, columns)
        rank_candidates(ready, tmp_path, *days, arm)
        values[arm] = {v.metric: v for v in holdout_metrics(ready, log.day(DATE), arm, days[1])}
    stored = ready.read("SELECT * FROM ranking_metrics").to_pandas()
    assert len(stored) == 2 * len(METRICS)
    for metric in ("ndcg@10", "mrr"):
        assert values["whole_image"][metric].value > values["noise"][metric].value + 0.04
    held_out = log.tables["requests"].to_pandas()
    held_out = held_out[held_out["requested_at"].dt.date >= days[1]]["request_id"]
    acted = set(held_out) & set(log.tables["engagements"]["request_id"].to_pylist())
    assert values["noise"]["ndcg@10"].n_requests == len(acted)


def test_the_held_out_days_change_neither_the_model_nor_the_rankings(
    ready: Database, log: object, tmp_path: Path
) -> None:
    days = log.day(DATE), log.day(CUTOFF)
    query = "SELECT query_pin_id, candidate_pin_id, rank, score FROM rankings ORDER BY 1, 2"
    results = []
    for change in (False, True):
        if change:
            saves = log.tables["engagements"].to_pandas()
            early = saves["engaged_at"].dt.date < days[1]
            log.tables["engagements"] = log.tables["engagements"].filter(early.to_numpy())
            log.ingest(ready, tmp_path / "source")
            refresh_engagement(ready, log.day(0), *days)
        model = trained(ready, log, tmp_path)
        rank_candidates(ready, tmp_path, *days, "whole_image")
        results.append((model, ready.read(query).to_pylist()))
    assert results[0] == results[1]


def test_doing_it_twice_does_nothing_and_a_change_does_it_again(
    ready: Database, log: object, tmp_path: Path
) -> None:
    days = log.day(DATE), log.day(CUTOFF)

    def everything(seed: int = 1) -> tuple[object, ...]:
        model = trained(ready, log, tmp_path, seed=seed)
        n_ranked = rank_candidates(ready, tmp_path, *days, "whole_image")
        metrics = holdout_metrics(ready, log.day(DATE), "whole_image", days[1])
        times = ready.read(
            "SELECT step, piece, finished_at FROM manifest "
            "WHERE step IN ('model', 'rankings', 'ranking_metrics') ORDER BY step, piece"
        )
        return model, n_ranked, metrics, times.to_pylist()

    first = everything()
    assert everything() == first
    assert everything(seed=2)[3] != first[3]
    (tmp_path / "models" / f"{days[0]}" / "whole_image.txt").unlink()
    assert everything()[:3] == first[:3]


def test_one_table_for_several_arms_gives_the_same_model(
    ready: Database, log: object, tmp_path: Path
) -> None:
    days = log.day(0), log.day(CUTOFF - 1)
    shared = training_table(ready, "v1", [*WHOLE_IMAGE, "crop_cosine"], *days)
    arms = [
        train_arm(ready, home, log.day(DATE), "whole_image", WHOLE_IMAGE, "v1", *days, 1, rows)
        for home, rows in ((tmp_path / "own", None), (tmp_path / "shared", lambda: shared))
    ]
    assert arms[0] == arms[1]


def test_what_is_missing_is_said(ready: Database, log: object, tmp_path: Path) -> None:
    days = log.day(DATE), log.day(CUTOFF)
    with pytest.raises(ValueError, match="no training row"):
        training_table(ready, "other", WHOLE_IMAGE, log.day(0), log.day(3))
    with pytest.raises(ValueError, match="train it first"):
        rank_candidates(ready, tmp_path, *days, "whole_image")
    trained(ready, log, tmp_path)
    with ready.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM candidates")
    with pytest.raises(ValueError, match="no candidates"):
        rank_candidates(ready, tmp_path, *days, "whole_image")


def test_postgresql_gives_the_same_rankings_and_metrics(
    ready: Database, postgres: Database, log: object, tmp_path: Path
) -> None:
    log.ingest(postgres, tmp_path / "source")
    refresh_engagement(postgres, log.day(0), log.day(DATE), log.day(CUTOFF))
    results = []
    for database, home in ((ready, tmp_path / "sqlite"), (postgres, tmp_path / "postgresql")):
        trained(database, log, home)
        rank_candidates(database, home, log.day(DATE), log.day(CUTOFF), "whole_image")
        metrics = holdout_metrics(database, log.day(DATE), "whole_image", log.day(CUTOFF))
        order = "SELECT query_pin_id, candidate_pin_id, rank FROM rankings ORDER BY 1, 3"
        results.append((metrics, database.read(order).to_pylist()))
    assert results[0] == results[1]
