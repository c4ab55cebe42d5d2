"""Gates on ten days of a small log, clean and with one thing planted in it."""

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from experiments.gates import (
    FEATURES,
    KINDS,
    Gate,
    GateFailed,
    canary_gate,
    enforce,
    input_gates,
    known_names,
    ranking_gate,
)
from experiments.thresholds import FILE, Thresholds, parse_thresholds, read_thresholds
from sql import tables
from sql.database import Database
from sql.tables import PAIR_FEATURES, PAIR_INTEREST

FIRST, N_DAYS, N_PINS, PAGE = dt.date(2026, 11, 1), 10, 60, 6
LAST = FIRST + dt.timedelta(days=N_DAYS - 1)
THRESHOLDS = read_thresholds(Path("nowhere"))


@dataclass
class Log:
    """Tables by name; `write` puts them into a database."""

    tables: dict[str, pd.DataFrame]

    def write(self, database: Database) -> None:
        for name, rows in self.tables.items():
            database.replace(
                tables.METADATA.tables[name], pa.Table.from_pandas(rows, preserve_index=False)
            )


@pytest.fixture
def log() -> Log:
    """160 requests a day by 80 query pins; features of a pair never change."""
    rng = np.random.default_rng(0)
    pins = np.array([f"p{n:02d}" for n in range(N_PINS)])
    pairs = pd.DataFrame(
        {"query_pin_id": pins.repeat(N_PINS), "candidate_pin_id": np.tile(pins, N_PINS)}
    )
    days = [FIRST + dt.timedelta(days=n) for n in range(N_DAYS)]
    requests = pd.DataFrame({"date": np.repeat(days, 160)})
    requests["request_id"] = [f"r{n:04d}" for n in range(len(requests))]
    requests["query_pin_id"] = rng.choice(pins, len(requests))
    impressions = requests.loc[requests.index.repeat(PAGE), ["request_id", "date"]]
    impressions["candidate_pin_id"] = np.concatenate(
        [rng.choice(pins, PAGE, replace=False) for _ in range(len(requests))]
    )
    features = pairs.assign(feature_version="v1")
    interest = pd.concat([pairs.assign(feature_version="v1", date=day) for day in days])
    for name in PAIR_FEATURES:
        features[name] = rng.normal(size=len(features))
    for name in PAIR_INTEREST:
        interest[name] = np.tile(rng.normal(size=len(pairs)), N_DAYS)
    engagements = impressions.iloc[::3].assign(action="save")
    crops = requests.iloc[::2].assign(crop_id=lambda d: d["request_id"])[["crop_id", "date"]]
    visuals = pd.DataFrame({"feature_version": "v1", "pin_id": pins})
    visuals["n_objects"] = np.where(np.arange(N_PINS) % 10, 2, 0)  # nine of ten have some
    return Log({
        "pins": pd.DataFrame({"pin_id": pins}), "requests": requests, "impressions": impressions,
        "engagements": engagements, "crops": crops, "candidates": pairs, "pin_visuals": visuals,
        "pair_features": features, "pair_interest": interest,
    })  # fmt: skip


def gates(database: Database, date: dt.date = LAST) -> dict[str, Gate]:
    return {gate.name: gate for gate in input_gates(database, date, "v1", THRESHOLDS)}


def failed(found: dict[str, Gate]) -> set[str]:
    return {name for name, gate in found.items() if not gate.passed}


def run_before(database: Database) -> None:
    """Yesterday's run, which passed."""
    day = LAST - dt.timedelta(days=1)
    enforce(database, day, input_gates(database, day, "v1", THRESHOLDS), ())


def test_a_first_run_passes_and_says_that_it_compares_with_nothing(
    database: Database, log: Log
) -> None:
    log.write(database)
    found = gates(database, FIRST)
    assert failed(found) == set()
    for name in ("rows/requests", "rows/pins", "objects/share_of_pins", "nulls/whole_cosine"):
        assert found[name].detail.endswith("Nothing to compare with yet.")
    assert all("no whole week" in found[f"drift/{f}"].detail for f in FEATURES)


def test_a_clean_week_passes_with_a_gate_for_every_table_and_feature(
    database: Database, log: Log
) -> None:
    log.write(database)
    run_before(database)
    found = gates(database)
    assert failed(found) == set()
    assert set(found) == {
        *(f"rows/{t}" for t in ("requests", "impressions", "engagements", "crops")),
        "rows/pins", "rows/candidates", "objects/share_of_pins",
        *(f"{kind}/{feature}" for kind in ("nulls", "drift") for feature in FEATURES),
    }  # fmt: skip
    assert found["rows/requests"].value == 160
    assert found["objects/share_of_pins"].value == pytest.approx(0.9)
    assert all(found[f"drift/{f}"].value >= 0 for f in FEATURES)


@pytest.mark.parametrize("table", ["requests", "impressions", "engagements", "crops"])
def test_a_collapsed_log_fails_and_only_it(database: Database, log: Log, table: str) -> None:
    rows = log.tables[table]
    today = rows.index[rows["date"] == LAST]
    dropped = np.arange(len(today)) % 10 < 6
    log.tables[table] = rows[~((rows["date"] == LAST).to_numpy() & np.isin(
        np.arange(len(rows)), np.flatnonzero(rows["date"] == LAST)[dropped]))]  # fmt: skip
    log.write(database)
    run_before(database)
    assert {name for name in failed(gates(database)) if name.startswith("rows")} == {
        f"rows/{table}"
    }


@pytest.mark.parametrize("table", ["pins", "candidates"])
def test_a_collapsed_list_fails(database: Database, log: Log, table: str) -> None:
    log.write(database)
    run_before(database)
    log.tables[table] = log.tables[table].iloc[::3]
    log.write(database)
    assert f"rows/{table}" in failed(gates(database))


def test_a_planted_drift_is_found_and_only_there(database: Database, log: Log) -> None:
    interest = log.tables["pair_interest"]
    interest.loc[interest["date"] == LAST, "interest_cosine"] += 1.5
    log.write(database)
    run_before(database)
    found = gates(database)
    assert failed(found) == {"drift/interest_cosine"}
    assert found["drift/interest_cosine"].value > 1


def test_traffic_that_moves_to_other_pins_is_drift(database: Database, log: Log) -> None:
    features, requests = log.tables["pair_features"], log.tables["requests"]
    features["query_object_area"] = features["query_pin_id"].rank(pct=True)
    today = requests["date"] == LAST
    requests.loc[today, "query_pin_id"] = [f"p{n % 20:02d}" for n in range(today.sum())]
    log.write(database)
    run_before(database)
    assert "drift/query_object_area" in failed(gates(database))


def test_an_explosion_of_nulls_is_found(database: Database, log: Log) -> None:
    log.write(database)
    run_before(database)
    log.tables["pair_features"].loc[::10, "whole_cosine"] = np.nan
    log.write(database)
    found = gates(database)
    assert failed(found) == {"nulls/whole_cosine"}
    assert found["nulls/whole_cosine"].value == pytest.approx(0.1)


def test_a_rare_feature_that_is_lost_is_found(database: Database, log: Log) -> None:
    """Only 2 % of pairs have it, so its nulls can rise by 2 points at most."""
    features = log.tables["pair_features"]
    rare = np.arange(len(features)) % 50 == 0
    features.loc[~rare, "rug_cosine"] = np.nan
    log.write(database)
    run_before(database)
    features["rug_cosine"] = np.where(np.arange(len(features)) % 150 == 0, 1.0, np.nan)
    log.write(database)
    assert "nulls/rug_cosine" in failed(gates(database))


def test_pairs_without_any_features_count_as_nulls(database: Database, log: Log) -> None:
    log.tables["pair_features"] = log.tables["pair_features"].iloc[::2]
    log.write(database)
    assert gates(database)["nulls/whole_cosine"].value == pytest.approx(0.5)


def test_objects_have_a_floor_and_must_not_drop(database: Database, log: Log) -> None:
    log.write(database)
    run_before(database)
    visuals = log.tables["pin_visuals"]
    visuals["n_objects"] = np.where(np.arange(N_PINS) % 5, 2, 0)  # .9 -> .8
    log.write(database)
    assert failed(gates(database)) == {"objects/share_of_pins"}
    visuals["n_objects"] = np.where(np.arange(N_PINS) % 5, 0, 2)
    log.write(database)
    assert failed(gates(database, FIRST)) == {"objects/share_of_pins"}  # no run to compare with


def test_a_failed_gate_is_recorded_and_says_what_to_do(database: Database) -> None:
    bad = Gate("rows/crops", False, 3.0, "at least 10", "3 rows of crops.")
    good = Gate("rows/pins", True, 9.0, "at least 5", "9 rows of pins.")
    with pytest.raises(GateFailed, match=r"rows/crops: 3 rows of crops\. Expected at least 10\."):
        enforce(database, LAST, [bad, good], ("rows/pins",))
    rows = database.read("SELECT * FROM quality_gates ORDER BY name").to_pylist()
    assert [(r["name"], r["passed"], r["skipped"]) for r in rows] == [
        ("rows/crops", 0, 0), ("rows/pins", 1, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("skip", ["rows/crops", "rows"])
def test_an_operator_may_skip_a_gate_or_a_kind(database: Database, skip: str) -> None:
    bad = Gate("rows/crops", False, 3.0, "at least 10", "3 rows of crops.")
    assert enforce(database, LAST, [bad], (skip,)) == {"passed": 0, "skipped": ["rows/crops"]}
    assert database.read("SELECT skipped FROM quality_gates").to_pylist() == [{"skipped": 1}]
    with pytest.raises(GateFailed):
        enforce(database, LAST, [bad], ("drift", "rows/pins"))


def test_a_refused_day_is_no_reference_but_a_skipped_one_is(database: Database, log: Log) -> None:
    """Crops fall to a tenth on the last two days."""
    crops, yesterday = log.tables["crops"], LAST - dt.timedelta(days=1)
    few = (crops["date"] >= yesterday).to_numpy() & (np.arange(len(crops)) % 10 > 0)
    log.tables["crops"] = crops[~few]
    log.write(database)
    with pytest.raises(GateFailed, match="rows/crops"):
        run_before(database)
    assert failed(gates(database)) == {"rows/crops"}
    enforce(database, yesterday, list(gates(database, yesterday).values()), ("rows",))
    assert failed(gates(database)) == set()


def test_rankings_must_not_lose_against_the_last_published_ones(database: Database) -> None:
    first = ranking_gate(database, LAST, "targeted", 0.2, THRESHOLDS)
    assert first.passed
    rows = pd.DataFrame({"date": [FIRST, LAST], "arm": "targeted", "metric": "ndcg@10",
                         "value": [0.5, 0.9]})  # fmt: skip
    database.replace(tables.ranking_metrics, pa.Table.from_pandas(rows, preserve_index=False))
    assert ranking_gate(database, LAST, "targeted", 0.476, THRESHOLDS).passed
    assert not ranking_gate(database, LAST, "targeted", 0.474, THRESHOLDS).passed
    assert not ranking_gate(database, LAST, "targeted", float("nan"), THRESHOLDS).passed


def test_a_canary_is_only_asked_for_where_there_is_one(database: Database, log: Log) -> None:
    log.write(database)
    names = {g.name for g in input_gates(database, LAST, "v1", THRESHOLDS, lambda: 0.39)}
    assert names - set(gates(database)) == {"canary/ap50"}
    assert canary_gate(0.4, THRESHOLDS).passed
    assert not canary_gate(0.39, THRESHOLDS).passed
    assert not canary_gate(float("nan"), THRESHOLDS).passed


def test_unknown_gates_are_no_gates_to_skip() -> None:
    assert known_names(KINDS) == KINDS
    with pytest.raises(ValueError, match="no quality gate weather"):
        known_names(["weather"])


def test_a_home_may_have_thresholds_of_its_own(tmp_path: Path) -> None:
    assert read_thresholds(tmp_path) == THRESHOLDS
    text = FILE.read_text().replace("most_psi = 0.25", "most_psi = 0.5")
    (tmp_path / "gates.toml").write_text(text + 'coco = "c.json"\nphotos = "/data"\n')
    expected = replace(THRESHOLDS, drift_most_psi=0.5, canary_coco=tmp_path / "c.json",
                       canary_photos=Path("/data"))  # fmt: skip
    assert read_thresholds(tmp_path) == expected


@pytest.mark.parametrize(
    "change",
    [("most_psi = 0.25", "most_psy = 0.25"), ("most_psi = 0.25", 'most_psi = "0.25"'),
     ("[ranking]\nmost_drop = 0.05", ""), ("most_psi = 0.25", "most_psi = -1"),
     ("least_ap50", 'coco = "c.json"\nleast_ap50'), ("[drift]", "drift = 1")],
)  # fmt: skip
def test_a_bad_file_of_thresholds_is_named(change: tuple[str, str]) -> None:
    text = FILE.read_text()
    assert change[0] in text
    with pytest.raises(ValueError, match="a file does not hold the thresholds"):
        parse_thresholds(text.replace(*change), Path("home"), "a file")


def test_thresholds_are_complete() -> None:
    assert isinstance(THRESHOLDS, Thresholds)
    assert THRESHOLDS.canary_coco is None
