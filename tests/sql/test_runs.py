import datetime as dt
import json

import pytest

from sql.database import Database
from sql.runs import last_summary, new_run_id, recorded_run

DAY = dt.date(2026, 11, 15)


def rows(database: Database) -> list[dict[str, object]]:
    return database.read("SELECT * FROM runs ORDER BY started_at").to_pylist()


def test_a_run_is_running_then_done_with_its_summary(database: Database) -> None:
    with recorded_run(database, "daily", DAY, "1", "a1") as summary:
        (row,) = rows(database)
        assert (row["run_id"], row["status"], row["finished_at"]) == ("a1", "running", None)
        summary |= {"source": "data", "feature_version": "v1"}
    (row,) = rows(database)
    assert (row["status"], row["feature_version"]) == ("done", "v1")
    assert last_summary(database, "source") == "data"


def test_a_failed_run_keeps_what_failed_without_its_password(database: Database) -> None:
    with pytest.raises(ValueError, match="no folder"), recorded_run(database, "rank", DAY, "1"):
        raise ValueError("no folder at postgresql://ann:s3cret@db/x")
    (row,) = rows(database)
    assert row["status"] == "failed"
    assert json.loads(str(row["summary"]))["error"] == "no folder at postgresql://ann:***@db/x"
    with pytest.raises(ValueError, match="No finished run"):
        last_summary(database, "source")


def test_the_first_error_is_seen_where_the_database_is_gone(database: Database) -> None:
    with pytest.raises(KeyError), recorded_run(database, "rank", DAY, "1"):
        lose_the_runs(database)


def lose_the_runs(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE runs")
    raise KeyError("first")


def test_what_still_says_running_was_killed(database: Database) -> None:
    left = recorded_run(database, "daily", DAY, "1", "a1")
    left.__enter__()
    with recorded_run(database, "daily", DAY, "1", "a2"):
        pass
    assert [(row["run_id"], row["status"]) for row in rows(database)] == [
        ("a1", "killed"), ("a2", "done"),
    ]  # fmt: skip


def test_ids_differ() -> None:
    ids = {new_run_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(i) == 12 and int(i, 16) >= 0 for i in ids)
