"""The same behaviour on a PostgreSQL server."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from sql.database import Database
from sql.ingest import ingest
from sql.query import query
from sql.tables import METADATA, engagements, pins
from tests.sql.example import DAY, fill
from tests.sql.test_analysts import questions
from tests.sql.test_database import engagement_rows
from tests.sql.test_ingest import assert_nothing_is_lost, contents
from tests.sql.test_schema import differences


def test_migrations_lead_to_the_tables(server: Database) -> None:
    assert differences(server) == []


def test_rows_come_back_as_they_went_in(server: Database) -> None:
    rows = engagement_rows(3)
    assert server.append(engagements, rows) == 3
    query = "SELECT * FROM engagements WHERE date = :day ORDER BY request_id"
    assert server.read(query, day=date(2026, 11, 15)).equals(rows)
    assert pa.Table.from_batches(server.batches(query, day=date(2026, 11, 15))).equals(rows)
    assert server.replace(engagements, rows.slice(0, 1), date=[date(2026, 11, 15)]) == 1
    assert len(server.read("SELECT * FROM engagements")) == 1


def test_types_are_those_of_sqlite(server: Database, database: Database) -> None:
    for name in METADATA.tables:
        assert (
            server.read(f"SELECT * FROM {name}").schema
            == database.read(f"SELECT * FROM {name}").schema
        )
    sums = "SELECT sum(n_impressions) AS n_impressions, count(*) AS n FROM pin_pair_engagement"
    assert server.read(sums).schema == database.read(sums).schema


def test_a_replace_that_fails_leaves_the_old_rows(server: Database) -> None:
    server.append(engagements, engagement_rows(3))
    with pytest.raises(Exception, match="duplicate key"):
        server.replace(engagements, pa.concat_tables([engagement_rows(2), engagement_rows(1)]))
    assert len(server.read("SELECT * FROM engagements")) == 3


def test_ingest_and_the_answers_are_those_of_sqlite(
    server: Database, database: Database, tmp_path: Path
) -> None:
    summary = fill(server, tmp_path)
    assert_nothing_is_lost(server, summary)
    assert summary == fill(database, tmp_path)
    assert contents(server) == contents(database)
    assert ingest(server, tmp_path, DAY).unchanged
    for number, sql, answer in questions():
        assert query(server, sql) == answer, f"question {number}"


def test_training_rows_are_those_of_sqlite(
    server: Database, database: Database, tmp_path: Path
) -> None:
    fill(server, tmp_path)
    fill(database, tmp_path)
    rows = "SELECT * FROM training_rows ORDER BY request_id, position"
    assert server.read(rows).equals(database.read(rows))


@pytest.mark.parametrize(
    "statement", ["DELETE FROM pins", "DROP TABLE pins", "COMMIT; DELETE FROM pins"]
)
def test_nothing_can_be_changed_by_a_query(server: Database, statement: str) -> None:
    server.append(pins, pa.table({"pin_id": ["a"]}))
    with pytest.raises(ValueError, match="refused the query"):
        query(server, statement)
    assert query(server, "SELECT pin_id FROM pins", "csv") == "pin_id\na\n"
