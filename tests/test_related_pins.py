"""The command line and the daily job, end to end on a small simulated sample."""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from experiments.arms import ARMS
from experiments.world.sample import write_sample
from sql.database import Database, open_database
from sql.tables import METADATA

DATE = "2026-11-15"
TABLES = (
    "pins", "requests", "impressions", "engagements", "candidates", "crops", "true_boxes",
    "quarantine", "pin_visuals", "pin_objects", "object_interest", "pair_features",
    "pair_interest", "pin_pair_engagement", "engagement_features", "feature_importances",
    "ranking_metrics", "rankings", "experiment_lift", "arm_daily_engagement", "experiment_checks",
    "quality_gates",
)  # fmt: skip


def run(*arguments: object, code: int = 0, env: dict[str, str] | None = None) -> str:
    """What a command prints, after a check of its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "related_pins", *map(str, arguments)],
        capture_output=True, text=True, check=False, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, pins=100, requests=4_000, users=500, crops=400)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    folder = tmp_path_factory.mktemp("home")
    printed = run("daily", "--source", source, "--date", DATE, "--home", folder)
    for word in ("Rows", "Set aside", "Lift over whole_image", "targeted", "Database", "Next"):
        assert word in printed
    return folder


@pytest.fixture(scope="module")
def database(home: Path) -> Database:
    return open_database(home / "related_pins.db")


def contents(database: Database) -> dict[str, list[dict[str, object]]]:
    return {
        name: sorted(database.read(f"SELECT * FROM {name}").to_pylist(), key=str) for name in TABLES
    }


def one(database: Database, query: str) -> object:
    return next(iter(database.read(query).to_pylist()[0].values()))


def test_every_table_and_mart_is_filled(database: Database) -> None:
    marts = (*TABLES, "models", "runs", "manifest", "training_rows", "feature_coverage")
    empty = [n for n in marts if not one(database, f"SELECT COUNT(*) AS n FROM {n}")]
    assert empty == []


def test_every_row_of_the_input_is_kept_or_set_aside(database: Database, source: Path) -> None:
    for name in ("pins", "requests", "impressions", "engagements", "candidates", "crops"):
        read = pq.read_metadata(source / f"{name}.parquet").num_rows
        kept = one(database, f"SELECT COUNT(*) AS n FROM {name}")
        aside = one(database, f"SELECT COUNT(*) AS n FROM quarantine WHERE source_table = '{name}'")
        assert kept + aside == read, name


def test_rankings_cover_every_candidate_of_every_arm(database: Database) -> None:
    candidates = one(database, "SELECT COUNT(*) AS n FROM candidates")
    ranked = database.read("SELECT arm, COUNT(*) AS n FROM rankings GROUP BY arm").to_pylist()
    assert {row["arm"]: row["n"] for row in ranked} == dict.fromkeys(ARMS, candidates)


def test_lift_of_every_treatment_has_its_interval_around_it(database: Database) -> None:
    rows = database.read("SELECT * FROM experiment_lift WHERE segment = 'all'").to_pylist()
    assert {row["arm"] for row in rows} == set(ARMS) - {"whole_image"}
    known = [row for row in rows if row["lift"] is not None and row["ci_low"] is not None]
    assert known
    assert all(row["ci_low"] <= row["lift"] <= row["ci_high"] for row in known)


def test_doing_it_twice_changes_nothing(database: Database, home: Path, source: Path) -> None:
    before = contents(database)
    shards = {path: path.stat().st_mtime_ns for path in home.rglob("*.arrow")}
    summary = json.loads(run("daily", "--source", source, "--date", DATE, "--home", home, "--json"))
    assert contents(database) == before
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*.arrow")} == shards
    assert summary["visuals"]["described"] == 0
    assert summary["pairs"] == {"pairs": 0, "interest": 0}


def test_a_day_earlier_knows_nothing_of_the_day_after(source: Path, tmp_path: Path) -> None:
    run("daily", "--source", source, "--date", "2026-11-14", "--home", tmp_path)
    database = open_database(tmp_path / "related_pins.db")
    last = dt.date(2026, 11, 14)
    for table in ("requests", "impressions", "engagements", "crops", "pin_pair_engagement"):
        assert one(database, f"SELECT MAX(date) AS date FROM {table}") == last, table
    for table in ("rankings", "experiment_lift", "models", "quarantine"):
        assert one(database, f"SELECT MAX(date) AS date FROM {table}") == last, table
    trained = database.read("SELECT DISTINCT train_to FROM models")["train_to"].to_pylist()
    assert trained == [dt.date(2026, 11, 10)]


def test_one_pair_is_explained_and_pictured(database: Database, home: Path) -> None:
    pair = database.read("SELECT query_pin_id, candidate_pin_id FROM pair_features LIMIT 1")
    query, candidate = pair.to_pylist()[0].values()
    printed = run("features", "one", query, candidate, "--home", home)
    assert "cosine of the two whole images" in printed
    assert (home / "pictures" / f"{query}-{candidate}.png").stat().st_size > 1000
    missing = run("features", "one", query, "nobody", "--home", home, code=1)
    assert "has no features" in missing


def test_detect_writes_boxes_inside_the_image(source: Path, tmp_path: Path) -> None:
    photo = next(iter(sorted((source / "photos").glob("*.jpg"))))
    out = tmp_path / "objects.json"
    run("detect", photo, "--json", out, "--draw", tmp_path / "drawn", "--min-score", 0.05)
    (image,) = json.loads(out.read_text())
    assert set(image) == {"image", "width", "height", "objects"}
    for found in image["objects"]:
        x1, y1, x2, y2 = found["box"]
        assert 0 <= x1 < x2 <= image["width"]
        assert 0 <= y1 < y2 <= image["height"]
        assert found["score"] >= 0.05
    assert len(list((tmp_path / "drawn").iterdir())) == 1
    run("detect", photo, "--json", out)
    (kept,) = json.loads(out.read_text())
    assert kept["objects"] == [each for each in image["objects"] if each["score"] >= 0.4][:8]


def test_sql_query_in_three_formats_and_read_only(home: Path) -> None:
    query = "SELECT arm, COUNT(*) AS n FROM rankings WHERE arm = 'targeted' GROUP BY arm"
    csv = run("sql", "query", query, "--home", home, "--format", "csv").splitlines()
    assert csv[0] == "arm,n"
    rows = json.loads(run("sql", "query", query, "--home", home, "--format", "json"))
    assert csv[1] == f"targeted,{rows[0]['n']}"
    assert "targeted" in run("sql", "query", query, "--home", home)
    run("sql", "query", "DELETE FROM rankings", "--home", home, code=1)
    assert json.loads(run("sql", "query", query, "--home", home, "--format", "json")) == rows


def test_errors_are_one_sentence_and_wrong_usage_is_two(tmp_path: Path) -> None:
    home = ("--home", tmp_path / "home")
    missing = run("daily", "--source", tmp_path, "--date", DATE, *home, code=1)
    assert missing.strip().startswith("Error: ")
    assert "\n" not in missing.strip()
    nowhere = ("--home", tmp_path / "nowhere")
    assert "no database" in run("sql", "query", "SELECT 1", *nowhere, code=1)
    gone = ("--db", "postgresql://nobody@127.0.0.1:1/nothing")
    assert "Error: " in run("sql", "upgrade", *gone, code=1)
    run("daily", "--date", DATE, *home, code=2)
    run("daily", "--source", tmp_path, "--date", "yesterday", *home, code=2)


def test_a_failed_gate_publishes_nothing(home: Path, source: Path, tmp_path: Path) -> None:
    """The log has no row of the day after: its rows have collapsed."""
    mine = shutil.copytree(home, tmp_path / "home")
    database = open_database(mine / "related_pins.db")
    published = ("rankings", "ranking_metrics", "experiment_lift", "arm_daily_engagement")
    before = {name: rows for name, rows in contents(database).items() if name in published}
    current = "SELECT feature_version FROM manifest WHERE step = 'feature_version' ORDER BY piece"
    versions = database.read(current)
    said = run("daily", "--source", source, "--date", "2026-11-16", "--home", mine, code=3)
    assert "so nothing was published" in said
    assert "rows/requests: 0 rows of requests on 2026-11-16" in said
    after = contents(database)
    assert {name: after[name] for name in published} == before
    assert database.read(current) == versions
    assert [path.name for path in (mine / "reports").iterdir()] == [DATE]
    assert one(database, "SELECT status FROM runs WHERE date = '2026-11-16'") == "failed"
    run("daily", "--source", source, "--date", DATE, "--home", mine, "--skip-gates", "weather",
        code=1)  # fmt: skip


def test_a_forgotten_pin_is_nowhere_and_stays_away(
    home: Path, source: Path, tmp_path: Path
) -> None:
    mine = shutil.copytree(home, tmp_path / "home")
    database = open_database(mine / "related_pins.db")
    row = database.read(
        "SELECT c.pin_id, v.content_hash FROM crops AS c JOIN pin_visuals AS v "
        "ON v.pin_id = c.pin_id JOIN rankings AS r ON r.query_pin_id = c.pin_id "
        "JOIN pin_objects AS o ON o.pin_id = c.pin_id LIMIT 1"
    ).to_pylist()[0]
    pin, content = str(row["pin_id"]), str(row["content_hash"])
    run("index", "build", "--home", mine)
    assert any("/index/" in place for place in said_anywhere(database, mine, pin, content))
    printed = run("forget", "--pin", pin, "--home", mine)
    assert f"Next: related-pins report --date {DATE}" in printed
    assert said_anywhere(database, mine, pin, content) == []
    kept = json.loads(run("ingest", "--source", source, "--date", DATE, "--home", mine, "--json"))
    assert kept["ingest"]["forgotten"]["pins"] == 1
    assert kept["ingest"]["forgotten"]["impressions"] > 0
    assert said_anywhere(database, mine, pin, content) == []


def said_anywhere(database: Database, home: Path, *words: str) -> list[str]:
    """Where a word stands: cells of tables, cells of Parquet files, bytes of all other files."""
    found = []
    for table in METADATA.tables:
        for row in database.read(f"SELECT * FROM {table}").to_pylist():
            found += [f"{table}: {v}" for v in row.values() if any(w in str(v) for w in words)]
    for path in (path for path in home.rglob("*") if path.is_file()):
        if path.suffix == ".parquet":
            said = " ".join(pq.read_table(path).column(0).to_pylist())
        else:
            said = path.read_bytes().decode("latin-1")
        found += [f"{path}: {word}" for word in words if word in said]
    return found


@pytest.mark.parametrize(
    "command",
    ["daily", "backfill", "forget", "features use", "features prune", "sample",
     "ingest", "features", "features one", "rank", "experiment",
     "experiment run", "experiment compare", "experiment check", "experiment power",
     "experiment examination",
     "experiment history", "experiment again", "report", "status",
     "detect", "detector train", "detector train-bundled", "detector evaluate",
     "detector evaluate-products", "detector thresholds", "detector dominance",
     "index build", "index update", "index status", "crops label", "crops heat",
     "features learn", "sql upgrade", "sql describe", "sql query",
     "sql grant", "serve"],
)  # fmt: skip
def test_every_command_has_help_with_an_example(command: str) -> None:
    printed = run(*command.split(), "--help", env={"COLUMNS": "200"})
    assert f"Example: related-pins {command}" in printed


def test_analysts_and_owners_never_load_torch() -> None:
    code = (
        "import sys, related_pins, sql.database, sql.query, sql.dictionary, "
        "experiments.experiment, experiments.report.page, experiments.summary; "
        "print([m for m in ('torch', 'torchvision', 'timm', 'faiss') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
