"""The status of a small home whose every number is known."""

import datetime as dt
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from sql import tables
from sql.database import Database, open_database
from sql.forgotten import remember
from sql.ingest import ingest
from sql.lock import locked
from sql.next_run import next_run
from sql.runs import recorded_run
from sql.status import status
from tests.sql.example import DAY, VERSION, add_pixels, fill

NEXT = DAY + dt.timedelta(days=1)


def add_run(database: Database, run_id: str, **values: object) -> None:
    row = {"run_id": run_id, "command": "daily", "date": DAY, "status": "done"} | values
    with database.engine.begin() as connection:
        connection.execute(sa.insert(tables.runs).values(**row))


def described(database: Database, folder: Path) -> None:
    """The example after a finished daily run of DAY."""
    fill(database, folder)
    database.mark_done("feature_version", "detected", VERSION, 0, feature_version=VERSION)
    database.mark_done("feature_version", "true_boxes", "none", 0)
    for day in (dt.date(2026, 11, 2), DAY):
        database.mark_done("pair_interest", f"{VERSION}/{day}", "f", 0, feature_version=VERSION)
    with recorded_run(database, "daily", DAY, "1") as summary:
        summary["source"] = str(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, database: Database) -> Database:
    if request.param == "sqlite":
        return database
    empty = open_database(request.getfixturevalue("postgres_url"))
    with empty.engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    empty.upgrade()
    return empty


def test_rows_dates_versions_and_disk(server: Database, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name, size in (("visuals/a/x.parquet", 70), ("visuals/b/y", 5), ("models/m/t", 11)):
        (home / name).parent.mkdir(parents=True)
        (home / name).write_bytes(b"x" * size)
    described(server, tmp_path)
    server.mark_done("visuals", f"{VERSION}/1", "1", 4, "p", VERSION)
    server.mark_done("visuals", "old/1", "1", 4, "p", "old")
    found = status(home, server)
    assert found.tables["pins"].rows == 5
    assert found.tables["pins"].last_date is None
    assert (found.tables["requests"].rows, found.tables["requests"].last_date) == (4, DAY)
    assert (found.tables["models"].rows, found.tables["models"].last_date) == (0, None)
    assert set(found.tables) == set(tables.METADATA.tables)
    now, old = found.versions
    assert (now.feature_version, now.current, now.pins, now.objects, now.shards) == (
        VERSION, "detected", 4, 4, 1,
    )  # fmt: skip
    assert (old.feature_version, old.current, old.pins, old.shards) == ("old", None, 0, 1)
    assert {k: v for k, v in found.disk.items() if k != "database"} == {
        "visuals/a": 70, "visuals/b": 5, "models": 11,
    }  # fmt: skip
    assert found.disk["database"] > 100_000
    assert found.holder is None
    server.engine.dispose()


def test_only_the_holder_of_the_lock_runs(server: Database, tmp_path: Path) -> None:
    home, start = tmp_path / "home", dt.datetime(2026, 11, 15, 2)
    add_run(server, "gone", status="running", started_at=start)
    add_run(server, "done", started_at=start, finished_at=start + dt.timedelta(minutes=2))
    found = {run.run_id: run for run in status(home, server).runs}
    assert (found["gone"].status, found["gone"].seconds) == ("killed", None)
    assert (found["done"].status, found["done"].seconds) == ("done", 120)
    with locked(home, server.url, "daily") as database:
        before = {run.run_id: run.status for run in status(home, server).runs}
        assert before == {"gone": "killed", "done": "done"}
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        add_run(database, "new", status="running", started_at=now)
        later = status(home, server, now + dt.timedelta(seconds=30))
        assert (later.runs[0].run_id, later.runs[0].status) == ("new", "running")
        assert later.runs[0].seconds == 30
        assert {r.run_id: r.status for r in later.runs[1:]} == before
        assert later.holder is not None
        assert later.holder.command == "daily"
        database.engine.dispose()
    until = time.monotonic() + 30  # the server has to notice that the connection has ended
    while status(home, server).runs[0].status == "running" and time.monotonic() < until:
        time.sleep(0.05)
    assert status(home, server).runs[0].status == "killed"
    server.engine.dispose()


def test_an_empty_database_and_no_database_tables(tmp_path: Path, database: Database) -> None:
    found = status(tmp_path, database)
    assert (found.runs, found.versions) == ((), ())
    assert found.next_run.date is None
    assert found.next_run.unreachable is not None
    assert "run `related-pins daily` first" in found.next_run.unreachable


def test_the_next_run_describes_new_pins_and_pairs_all_days_anew(
    database: Database, tmp_path: Path
) -> None:
    described(database, tmp_path)
    found = next_run(database, VERSION)
    # p3 was not described, p4 appears on the next day, and with it the pair (q1, p4)
    assert (found.date, found.source, found.unreachable) == (NEXT, str(tmp_path), None)
    assert (found.new_pins, found.new_pairs) == (2, 1)
    assert found.days_to_pair == (dt.date(2026, 11, 2), DAY, NEXT)


def test_an_erased_pin_is_not_new(database: Database, tmp_path: Path) -> None:
    described(database, tmp_path)
    remember(database, "pin", "p4")
    found = next_run(database, VERSION)
    assert (found.new_pins, found.new_pairs) == (1, 0)


def test_with_nothing_new_only_the_new_day_is_paired(database: Database, tmp_path: Path) -> None:
    described(database, tmp_path)
    for name in ("pins", "candidates"):
        file = tmp_path / f"{name}.csv"
        kept = [row for row in file.read_text().splitlines() if "p3" not in row and "p4" not in row]
        file.write_text("\n".join(kept) + "\n")
    found = next_run(database, VERSION)
    assert (found.new_pins, found.new_pairs, found.days_to_pair) == (0, 0, (NEXT,))
    other = next_run(database, "another")
    assert (other.new_pins, other.days_to_pair) == (4, (dt.date(2026, 11, 2), DAY, NEXT))


def test_what_the_next_run_would_do_is_what_ingest_then_finds(
    database: Database, tmp_path: Path
) -> None:
    described(database, tmp_path)
    foreseen = next_run(database, VERSION)
    before = database.read("SELECT COUNT(*) AS n FROM candidates")["n"][0].as_py()
    ingest(database, tmp_path, NEXT)
    add_pixels(database)
    undescribed = (
        "SELECT COUNT(*) AS n FROM pins WHERE pin_id NOT IN (SELECT pin_id FROM pin_visuals)"
    )
    assert database.read(undescribed)["n"][0].as_py() == foreseen.new_pins
    after = database.read("SELECT COUNT(*) AS n FROM candidates")["n"][0].as_py()
    assert after - before == foreseen.new_pairs
    days = database.read("SELECT DISTINCT date FROM requests ORDER BY date")["date"].to_pylist()
    assert tuple(days) == foreseen.days_to_pair


@pytest.mark.parametrize("harm", ["gone", "no file", "no column"])
def test_a_source_that_cannot_be_read_is_said(
    database: Database, tmp_path: Path, harm: str
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    described(database, source)
    if harm == "gone":
        source.rename(tmp_path / "elsewhere")
    elif harm == "no file":
        (source / "candidates.csv").unlink()
    else:
        (source / "pins.csv").write_text("pin_id\nq1\n")
    found = next_run(database, VERSION)
    assert found.days_to_pair is None
    assert found.new_pins is None
    assert str(source) in str(found.unreachable)
    assert found.date == NEXT
