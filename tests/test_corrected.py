"""Days that were corrected after they were ingested, and images that were changed."""

import datetime as dt
import shutil
from pathlib import Path

import pandas as pd
import pytest

from experiments.world.sample import write_sample
from related_pins import Job, features_step, run_day
from sql.database import Database, open_database
from tests.home_state import State, differences, state
from tests.quick_visuals import quick_extractor

DATE = dt.date(2026, 11, 15)
TRAINED, HELD_OUT = dt.date(2026, 11, 6), dt.date(2026, 11, 13)
ADDED_TO = ("experiment_runs", "experiment_results", "experiment_run_checks")


def job(home: Path) -> Job:
    database = open_database(home / "related_pins.db")
    database.upgrade()
    return Job(database, home, DATE, 4, lambda *_: None)


def filled(home: Path, source: Path) -> Job:
    """The job of a home after a whole run on the source."""
    run_day(job(home), source, quick_extractor)
    return job(home)


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


def without_shards(found: State) -> State:
    """What does not depend on which images were described together."""
    keep = {name: rows for name, rows in found.tables.items() if name not in ADDED_TO}
    keep["pin_visuals"] = [row[:-1] for row in keep["pin_visuals"]]
    keep["manifest"] = [row for row in keep["manifest"] if row[0] != "visuals"]
    return State(keep, {n: h for n, h in found.files.items() if not n.startswith("visuals")})


def test_corrected_days_give_what_they_would_have_given_at_first(
    before: Job, source: Path, tmp_path: Path
) -> None:
    corrected = shutil.copytree(source, tmp_path / "sample")
    correct(corrected)
    late = shutil.copytree(before.home, tmp_path / "late")
    was = state(before.database, before.home)
    fresh, again = filled(tmp_path / "fresh", corrected), filled(late, corrected)
    expected, found = (state(j.database, j.home) for j in (fresh, again))
    unlike = list(differences(without_shards(found), without_shards(expected)))
    assert not unlike, "\n".join(unlike)
    for name in ADDED_TO:
        assert set(expected.tables[name]) | set(was.tables[name]) == set(found.tables[name]), name
    for name in ("pin_pair_engagement", "engagement_features", "rankings", "experiment_lift"):
        assert was.tables[name] != found.tables[name], name
