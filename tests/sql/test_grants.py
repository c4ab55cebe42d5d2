import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa

from sql.database import Database, open_database
from sql.grants import SETTINGS, grant_reading
from sql.schema import view_files
from sql.tables import METADATA, impressions
from tests.sql.example import fill
from tests.sql.test_partitions import shown


@pytest.fixture
def role(server: Database) -> Iterator[str]:
    """A name of which there is no role; whatever is made of it goes with the test."""
    name = f"analysts_{uuid.uuid4().hex[:8]}"
    yield name
    if has_role(server, name):
        with server.engine.begin() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {name}")
            connection.exec_driver_sql(f"DROP ROLE {name}")


def has_role(server: Database, name: str) -> bool:
    found = server.read("SELECT count(*) AS n FROM pg_roles WHERE rolname = :name", name=name)
    return bool(found["n"][0].as_py())


def as_role(server: Database, role: str) -> Database:
    return open_database(server.engine.url.set(username=role).render_as_string(False))


def sizes(database: Database, relations: list[str]) -> dict[str, int]:
    with database.engine.connect() as connection:
        return {
            name: int(connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one())
            for name in relations
        }


def run(database: Database, *statements: str) -> None:
    with database.engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_the_role_reads_everything_now_and_to_come(
    server: Database, role: str, tmp_path: Path
) -> None:
    fill(server, tmp_path)
    assert grant_reading(server, role)
    analyst = as_role(server, role)
    relations = [*METADATA.tables, *(file.stem for file in view_files())]
    assert sizes(analyst, relations) == sizes(server, relations)
    assert sum(sizes(analyst, relations).values()) > 50
    server.replace(impressions, shown(3, date(2026, 12, 1)), date=date(2026, 12, 1))
    run(server, "CREATE TABLE later (a INTEGER)", "CREATE VIEW seen AS SELECT * FROM later")
    count = "SELECT count(*) AS n FROM impressions WHERE date = :day"
    assert analyst.read(count, day=date(2026, 12, 1))["n"].to_pylist() == [3]
    assert len(analyst.read("SELECT * FROM seen")) == len(analyst.read("SELECT * FROM later")) == 0
    analyst.engine.dispose()


@pytest.mark.parametrize("read_only", ["on", "off"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO pins (pin_id) VALUES ('x')", "UPDATE pins SET title = 'x'",
        "DELETE FROM impressions", "TRUNCATE pins", "CREATE TABLE mine (a INTEGER)",
        "CREATE VIEW mine AS SELECT 1 AS one", "CREATE SCHEMA mine", "DROP VIEW training_rows",
        "DROP TABLE pins", "CREATE TABLE partitions.mine (a INTEGER)",
        "ALTER TABLE impressions ADD COLUMN mine INTEGER",
    ],
)  # fmt: skip
def test_the_role_changes_nothing_even_where_it_lifts_its_own_setting(
    granted: Database, statement: str, read_only: str
) -> None:
    refused = "read-only transaction|permission denied|must be owner"
    with pytest.raises(sa.exc.SQLAlchemyError, match=refused):
        run(granted, f"SET transaction_read_only = {read_only}", statement)


@pytest.fixture(scope="module")
def granted(postgres_url: str) -> Iterator[Database]:
    """The database as a role that may read it."""
    server = open_database(postgres_url)
    server.upgrade()
    grant_reading(server, "analysts_of_a_module")
    analyst = as_role(server, "analysts_of_a_module")
    yield analyst
    analyst.engine.dispose()
    run(server, "DROP OWNED BY analysts_of_a_module", "DROP ROLE analysts_of_a_module")
    server.engine.dispose()


def test_the_role_has_its_settings(granted: Database) -> None:
    with granted.engine.connect() as connection:
        for name, value in SETTINGS.items():
            assert connection.exec_driver_sql(f"SHOW {name}").scalar() == value


def test_granting_again_takes_away_what_was_too_much(server: Database, role: str) -> None:
    assert grant_reading(server, role)
    run(server, f"GRANT INSERT ON pins TO {role}")
    assert not grant_reading(server, role)
    analyst = as_role(server, role)
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        run(analyst, "SET transaction_read_only = off", "INSERT INTO pins (pin_id) VALUES ('x')")
    analyst.engine.dispose()


@pytest.mark.parametrize(
    ("power", "reason"),
    [
        ("ALTER ROLE {role} SUPERUSER", "it is a superuser"),
        ("ALTER ROLE {role} CREATEROLE", "it may make roles"),
        ("GRANT pg_write_all_data TO {role}", "it may write to"),
        ("ALTER TABLE pins OWNER TO {role}", "it owns pins"),
    ],
)
def test_a_role_that_can_write_is_refused_and_left_as_it_was(
    server: Database, role: str, power: str, reason: str
) -> None:
    run(server, f"CREATE ROLE {role} LOGIN", power.format(role=role))
    with pytest.raises(ValueError, match=reason):
        grant_reading(server, role)
    privileges = "SELECT has_schema_privilege(:role, 'public', 'USAGE') AS used, rolconfig AS own "
    before = server.read(privileges + "FROM pg_roles WHERE rolname = :role", role=role)
    assert before["own"].to_pylist() == [None]
    if "OWNER" in power:
        writes = "SELECT has_table_privilege(:role, 'pins', 'INSERT') AS may"
        assert server.read(writes, role=role)["may"].to_pylist() == [True]
        run(server, "ALTER TABLE pins OWNER TO CURRENT_USER")
    run(server, f"ALTER ROLE {role} NOSUPERUSER NOCREATEROLE")


@pytest.mark.parametrize(
    "name", ["", "Analysts", "a b", 'x"; DROP TABLE pins; --', "pg_monitor", "public", "1a", "é",
             "a" * 64],
)  # fmt: skip
def test_other_names_are_refused(server: Database, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a role"):
        grant_reading(server, name)
    assert not has_role(server, name) or name == "pg_monitor"


def test_words_of_the_language_are_quoted(server: Database) -> None:
    assert grant_reading(server, "select")
    assert has_role(server, "select")
    run(server, 'DROP OWNED BY "select"', 'DROP ROLE "select"')


def test_sqlite_is_told_of_its_file(database: Database) -> None:
    with pytest.raises(ValueError, match="permissions of its file"):
        grant_reading(database, "analysts")
