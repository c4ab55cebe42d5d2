import csv
import io
import json
from datetime import date, datetime

import pyarrow as pa
import pytest

from sql.database import Database
from sql.query import query
from sql.tables import pins

SELECT = "SELECT pin_id, title, created_at FROM pins ORDER BY pin_id"


@pytest.fixture
def filled(database: Database) -> Database:
    rows = {
        "pin_id": ["a", "b"],
        "title": ['red, "big"\nbag', None],
        "created_at": [datetime(2026, 11, 1, 7, 30), datetime(2026, 11, 2)],
    }
    database.append(pins, pa.table(rows))
    return database


def test_csv_has_a_header_and_reads_back(filled: Database) -> None:
    rows = list(csv.reader(io.StringIO(query(filled, SELECT, "csv"))))
    assert rows == [
        ["pin_id", "title", "created_at"],
        ["a", 'red, "big"\nbag', "2026-11-01 07:30:00"],
        ["b", "", "2026-11-02 00:00:00"],
    ]


def test_csv_of_no_row_is_the_header(database: Database) -> None:
    assert query(database, SELECT, "csv") == "pin_id,title,created_at\n"


def test_json_reads_back(filled: Database) -> None:
    assert json.loads(query(filled, SELECT, "json")) == [
        {"pin_id": "a", "title": 'red, "big"\nbag', "created_at": "2026-11-01 07:30:00"},
        {"pin_id": "b", "title": None, "created_at": "2026-11-02 00:00:00"},
    ]


def test_a_table_is_aligned_numbers_to_the_right(filled: Database) -> None:
    answer = query(filled, "SELECT pin_id, 12.5 / 3 AS mean, 7 AS n FROM pins ORDER BY 1")
    assert answer == (
        "pin_id     mean  n\n"
        "------  -------  -\n"
        "a       4.16667  7\n"
        "b       4.16667  7\n"
    )  # fmt: skip


def test_days_are_days(filled: Database) -> None:
    text = f"SELECT '{date(2026, 11, 2)}' AS date"
    assert query(filled, text) == "date\n----------\n2026-11-02\n"


@pytest.mark.parametrize("format", ["table", "csv", "json"])
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM pins",
        "UPDATE pins SET title = 'x'",
        "INSERT INTO pins (pin_id) VALUES ('c')",
        "DROP TABLE pins",
        "CREATE TABLE mine (a INTEGER)",
        "SELECT 1; DELETE FROM pins",
        "WITH x AS (SELECT 1) DELETE FROM pins",
        "PRAGMA query_only = 0; DELETE FROM pins",
    ],
)
def test_nothing_can_be_changed(filled: Database, statement: str, format: str) -> None:
    before = query(filled, SELECT, "csv")
    with pytest.raises(ValueError, match="The database refused the query"):
        query(filled, statement, format)
    assert query(filled, SELECT, "csv") == before


def test_a_mistake_is_explained(database: Database) -> None:
    with pytest.raises(ValueError, match="no such column: colour"):
        query(database, "SELECT colour FROM pins")


def test_an_unknown_format_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="choose table, csv or json"):
        query(database, SELECT, "xml")
