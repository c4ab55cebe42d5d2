import json
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa

from sql.database import Database
from sql.erasure import erase_rows, mentions, reclaim, redacted
from sql.forgotten import forgotten_hashes, id_hash, remember
from sql.ingest import ingest
from sql.tables import METADATA, runs
from tests.sql.example import DAY, FILES, fill


@pytest.fixture
def example(database: Database, tmp_path: Path) -> Database:
    fill(database, tmp_path)
    with database.engine.begin() as connection:
        summary = {"visuals": {"unreadable": {"p1": "no image", "p2": "no image"}}, "n": 3}
        connection.execute(sa.insert(runs).values(run_id="1", summary=json.dumps(summary)))
    return database


def cells(database: Database) -> list[str]:
    """Every value of every table as text."""
    tables = [database.read(sa.select(table)) for table in METADATA.tables.values()]
    return [str(v) for table in tables for row in table.to_pylist() for v in row.values()]


def rows_of(database: Database, table: str) -> set[tuple[object, ...]]:
    rows = database.read(sa.select(METADATA.tables[table])).to_pylist()
    return {tuple(row.values()) for row in rows}


@pytest.mark.parametrize(("kind", "id"), [("pin", "p1"), ("pin", "q1"), ("user", "u1")])
def test_nothing_names_what_was_erased(
    example: Database, tmp_path: Path, kind: str, id: str
) -> None:
    assert any(mentions(cell, id) for cell in cells(example))
    erase_rows(example, kind, id)
    assert [cell for cell in cells(example) if mentions(cell, id)] == []


def test_every_column_of_the_schema_that_can_name_a_pin_or_user_is_found() -> None:
    """A new table whose column is called otherwise has to be thought about."""
    named = {c.name for t in METADATA.tables.values() for c in t.columns
             if "pin" in c.name.split("_") or "user" in c.name.split("_")}  # fmt: skip
    assert named - {"pin_id", "query_pin_id", "candidate_pin_id", "user_id"} == set()


def test_a_users_requests_go_with_what_was_shown_and_done_on_them(example: Database) -> None:
    erased = erase_rows(example, "user", "u1")
    left = {r["request_id"] for r in example.read("SELECT request_id FROM requests").to_pylist()}
    assert left == {"r2", "r4"}
    for table in ("impressions", "engagements"):
        rows = example.read(f"SELECT DISTINCT request_id FROM {table}").to_pylist()
        assert {r["request_id"] for r in rows} <= left
    keys = example.read("SELECT row_key FROM quarantine").to_pylist()
    assert not any(row["row_key"].startswith(("r1/", "r3/")) for row in keys)
    assert erased["requests"] == 2
    assert erased["crops"] == 1


def test_what_is_about_others_stays(example: Database) -> None:
    tables = ("pins", "pin_objects", "pair_features", "rankings", "crops")
    before = {name: rows_of(example, name) for name in tables}
    erase_rows(example, "pin", "p1")
    for name, rows in before.items():
        assert rows_of(example, name) == {row for row in rows if "p1" not in row}, name
    summary = json.loads(example.read("SELECT summary FROM runs").to_pylist()[0]["summary"])
    assert summary == {"visuals": {"unreadable": {"p2": "no image"}}, "n": 3}


def test_no_byte_is_left_in_the_file(database: Database, tmp_path: Path) -> None:
    files = {name: text.replace("u1,", "erase-me-4711,") for name, text in FILES.items()}
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text)
    ingest(database, tmp_path, DAY)
    file = Path(str(database.engine.url.database))
    around = [file, file.with_name(file.name + "-wal")]
    assert any(b"erase-me-4711" in f.read_bytes() for f in around if f.exists())
    erase_rows(database, "user", "erase-me-4711")
    reclaim(database)
    assert not any(b"erase-me-4711" in f.read_bytes() for f in around if f.exists())


@pytest.mark.parametrize(("kind", "id"), [("pin", "p1"), ("pin", "q1"), ("user", "u1")])
def test_ingest_does_not_bring_it_back_and_counts_it(
    example: Database, tmp_path: Path, kind: str, id: str
) -> None:
    whole = ingest(example, tmp_path, DAY)
    remember(example, kind, id)
    erase_rows(example, kind, id)
    for day in (DAY, date(2026, 11, 4), DAY):
        summary = ingest(example, tmp_path, day)
        assert [cell for cell in cells(example) if mentions(cell, id)] == []
        assert sum(summary.forgotten.values()) > 0
        for name, n in summary.read.items():
            lost = sum(m for w, m in summary.set_aside.items() if w.startswith(f"{name}: "))
            assert n == (summary.written[name] + lost + summary.not_yet[name]
                         + summary.forgotten[name])  # fmt: skip
        assert summary.read == whole.read
    assert not any("orphan" in what and "r1" in what for what in summary.set_aside)


def test_without_erasures_nothing_changes(example: Database, tmp_path: Path) -> None:
    summary = ingest(example, tmp_path, DAY)
    assert summary.unchanged
    assert set(summary.forgotten.values()) == {0}


def test_a_malformed_line_of_an_erased_user_does_not_come_back(
    database: Database, tmp_path: Path
) -> None:
    for name, text in FILES.items():
        (tmp_path / f"{name}.csv").write_text(text)
    (tmp_path / "crops.csv").write_text(FILES["crops"] + "c9,u7,q1\n")
    remember(database, "user", "u7")
    summary = ingest(database, tmp_path, DAY)
    assert summary.forgotten["crops"] == 1
    assert not any(mentions(cell, "u7") for cell in cells(database))


def test_the_list_names_nobody(database: Database) -> None:
    remember(database, "user", "u1")
    remember(database, "user", "u1")
    assert forgotten_hashes(database) == {"pin": frozenset(), "user": {id_hash("u1")}}
    assert not any(mentions(cell, "u1") for cell in cells(database))


def test_redacting_keeps_everything_else() -> None:
    value = {"a": ["p1", {"p1": 1, "b": "see p1.jpg"}], "c": 2.5, "d": None}
    assert redacted(value, "p1") == {"a": [{}], "c": 2.5, "d": None}
    assert redacted(value, "p9") == value
