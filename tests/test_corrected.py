"""Days that were corrected after they were ingested, and images that were changed."""

import datetime as dt
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image as Photo

from daily import Job, experiment_step, features_step, ingest_step, rank_step
from experiments.arms import ARMS
from experiments.world.sample import write_sample
from sql.database import Database, open_database
from sql.home import feature_versions
from sql.tables import METADATA
from tests.home_state import State, differences, state
from tests.quick_visuals import quick_extractor

DATE = dt.date(2026, 11, 15)
TRAINED, HELD_OUT = dt.date(2026, 11, 6), dt.date(2026, 11, 13)
KEPT = ("whole_image", "targeted", "oracle", "whole_image_aa")
ADDED_TO = ("experiment_runs", "experiment_results", "experiment_run_checks")


def job(home: Path) -> Job:
    database = open_database(home / "related_pins.db")
    database.upgrade()
    return Job(database, home, DATE, 4, lambda *_: None)


def filled(home: Path, source: Path) -> Job:
    """The job of a home after all steps but the report, with four arms."""
    done = job(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.arms.ARMS", {name: ARMS[name] for name in KEPT})
        ingest_step(done, source)
        features_step(done, source, quick_extractor())
        rank_step(done)
        experiment_step(done)
    return done


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, pins=100, requests=1_200, users=200, crops=150)
    return folder


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Job:
    return filled(tmp_path_factory.mktemp("home"), source)


def correct(source: Path) -> None:
    """Takes back and changes rows of a training day and of a held-out one, in place."""
    tables = {name: pd.read_parquet(source / f"{name}.parquet")
              for name in ("pins", "requests", "engagements", "crops")}  # fmt: skip
    pins, requests, engagements, crops = tables.values()
    query_pins = set(requests["query_pin_id"])
    others = sorted(pins.loc[~pins["pin_id"].isin(query_pins), "pin_id"].dropna().unique())
    day = pd.to_datetime(engagements["engaged_at"], errors="coerce").dt.date
    engagements.loc[(day == HELD_OUT) & (engagements["action"] == "closeup"), "action"] = "hide"
    pins.loc[pins["pin_id"].isin(others[1:4]), "created_at"] -= pd.Timedelta(days=3)
    asked = pd.to_datetime(requests["requested_at"], errors="coerce").dt.date
    first = requests.index[asked == TRAINED][:10].append(requests.index[asked == HELD_OUT][:10])
    tables["requests"] = requests.drop(first)
    tables["engagements"] = engagements.drop(engagements.index[day == TRAINED][::2])
    tables["crops"] = crops.drop(crops.index[::10])
    tables["pins"] = pins[pins["pin_id"] != others[0]]
    for name, rows in tables.items():
        rows.to_parquet(source / f"{name}.parquet", index=False)


def comparable(found: State, database: Database) -> State:
    """What depends neither on which images were described together nor on what was there before:
    no shard, no row of a feature version that is no longer the newest, no history of runs.
    """
    newest = set(feature_versions(database).values())
    tables = {}
    for name in found.tables.keys() - set(ADDED_TO):
        columns = METADATA.tables[name].columns.keys()
        rows = found.tables[name]
        if "feature_version" in columns:
            at = columns.index("feature_version")
            rows = [row for row in rows if row[at] is None or row[at] in newest]
        tables[name] = rows
    tables["pin_visuals"] = [row[:-1] for row in tables["pin_visuals"]]
    tables["manifest"] = [row for row in tables["manifest"] if row[0] != "visuals"]
    return State(tables, {n: h for n, h in found.files.items() if n.startswith("models")})


def test_corrected_days_give_what_they_would_have_given_at_first(
    before: Job, source: Path, tmp_path: Path
) -> None:
    corrected = shutil.copytree(source, tmp_path / "sample")
    correct(corrected)
    late = shutil.copytree(before.home, tmp_path / "late")
    was = state(before.database, before.home)
    fresh, again = filled(tmp_path / "fresh", corrected), filled(late, corrected)
    expected, found = (state(j.database, j.home) for j in (fresh, again))
    unlike = list(
        differences(comparable(found, again.database), comparable(expected, fresh.database))
    )
    assert not unlike, "\n".join(unlike)
    for name in ADDED_TO:
        assert set(expected.tables[name]) | set(was.tables[name]) == set(found.tables[name]), name
    for name in ("pin_pair_engagement", "engagement_features", "rankings", "experiment_lift"):
        assert was.tables[name] != found.tables[name], name


def test_a_changed_image_is_described_alone_and_changes_its_own_pairs_only(
    before: Job, source: Path, tmp_path: Path
) -> None:
    changed = shutil.copytree(source, tmp_path / "sample")
    done = job(shutil.copytree(before.home, tmp_path / "home"))
    pin, image = done.database.read(
        "SELECT pin_id, image FROM pins WHERE pin_id IN (SELECT candidate_pin_id FROM candidates) "
        "AND pin_id IN (SELECT pin_id FROM pin_visuals) ORDER BY pin_id LIMIT 1"
    ).to_pylist()[0].values()  # fmt: skip
    with Photo.open(changed / image) as photo:
        photo.transpose(Photo.Transpose.FLIP_TOP_BOTTOM).save(changed / "photos" / "new.jpg")
    (changed / "photos" / "new.jpg").replace(changed / image)
    shards = {path: path.stat().st_mtime_ns for path in done.home.rglob("*.arrow")}
    was = pairs(done)
    summary = features_step(done, changed, quick_extractor())
    assert summary["visuals"]["described"] == 1
    left = {path: path.stat().st_mtime_ns for path in done.home.rglob("*.arrow")}
    assert left.items() > shards.items()
    assert len(left) == len(shards) + 2  # one as detected, one with true boxes
    mine = {key for key in was if pin in key}
    assert {key for key, row in pairs(done).items() if row != was[key]} == mine != set()


def pairs(done: Job) -> dict[tuple[str, ...], dict[str, object]]:
    """Rows of pair_features by feature version and pins."""
    rows = done.database.read("SELECT * FROM pair_features").to_pylist()
    keys = ("feature_version", "query_pin_id", "candidate_pin_id")
    return {tuple(row[key] for key in keys): row for row in rows}
