"""docs/analysts.md: the dictionary is the schema's, and the questions have the answers shown."""

import re
from pathlib import Path

import pytest

from sql.database import Database
from sql.dictionary import data_dictionary_markdown, describe
from sql.query import query
from sql.tables import METADATA
from tests.sql.example import fill

DOCUMENT = Path(__file__).parents[2] / "docs" / "analysts.md"
QUESTION = re.compile(r"### (\d+)\. .+?\n```sql\n(.+?)```\n```text\n(.*?)```\n", re.DOTALL)
HEADING = "Columns of the key are bold. Times are UTC.\n\n"


def questions() -> list[tuple[str, str, str]]:
    return QUESTION.findall(DOCUMENT.read_text())


@pytest.fixture
def example(database: Database, tmp_path: Path) -> Database:
    fill(database, tmp_path)
    return database


def test_there_are_ten_questions() -> None:
    assert [number for number, _, _ in questions()] == [str(n) for n in range(1, 11)]


def test_the_answers_are_those_of_the_document(example: Database) -> None:
    for number, sql, answer in questions():
        assert query(example, sql) == answer, f"question {number}"


def test_the_dictionary_is_that_of_the_schema() -> None:
    assert DOCUMENT.read_text().split(HEADING)[1] == data_dictionary_markdown()


def test_everything_has_a_meaning_and_a_grain() -> None:
    relations = describe()
    assert {r.name for r in relations if r.kind == "table"} == set(METADATA.tables)
    for relation in relations:
        assert relation.grain.startswith("One row per "), relation.name
        assert relation.grain.endswith("."), relation.name
        assert all(column.meaning for column in relation.columns), relation.name


def test_the_dictionary_has_every_column_of_the_database(example: Database) -> None:
    for relation in describe():
        found = example.read(f"SELECT * FROM {relation.name}").column_names
        assert found == [column.name for column in relation.columns]
