"""Erasure: every row about a pin or a user leaves the database, and so do its bytes."""

import json
import re
from typing import Any

import sqlalchemy as sa

from sql.database import Database
from sql.forgotten import COLUMNS
from sql.partitions import drop_aside
from sql.tables import METADATA, quarantine, runs

LOGS = ("impressions", "engagements")  # their keys begin with the request


def mentions(text: str | None, id: str) -> bool:
    """Whether an id stands in a text as a word of its own; - and / end a word, _ does not.

    >>> mentions('{"pin_id": "p1"}', "p1"), mentions("p1-p2.png", "p1"), mentions("p12", "p1")
    (True, True, False)
    """
    return bool(text) and bool(re.search(rf"(?<!\w){re.escape(id)}(?!\w)", str(text)))


def erase_rows(database: Database, kind: str, id: str) -> dict[str, int]:
    """Deletes every row about a pin or user, in one transaction; rows deleted by table.

    Rows are found by the columns of the schema: *pin_id or user_id. Requests of the user, or about
    the pin, go with what was shown and done on them, and quarantined rows with what they hold. In
    `runs` the summaries lose the parts that name it. What only counts people (rates, models) stays
    until it is made again.
    """
    done: dict[str, int] = {}
    with database.engine.begin() as connection:
        requests = METADATA.tables["requests"]
        erased = sa.select(requests.c.request_id).where(_names(requests, kind, id))
        done["quarantine"] = _erase_quarantine(
            connection, id, set(connection.execute(erased).scalars())
        )
        for table in sorted(METADATA.tables.values(), key=lambda table: table is requests):
            where = _names(table, kind, id)
            if "request_id" in table.c and table is not requests:
                where = sa.or_(where, table.c.request_id.in_(erased))
            done[table.name] = (
                done.get(table.name, 0) + connection.execute(sa.delete(table).where(where)).rowcount
            )
        done["runs"] = _redact_runs(connection, id)
    return {name: n for name, n in done.items() if n}


def reclaim(database: Database) -> None:
    """Overwrites the space of deleted rows; the database is rewritten once. On PostgreSQL, what
    killed processes left aside goes too.

    Raises ValueError where a reader keeps SQLite's log from being emptied.
    """
    if not database.is_sqlite:
        drop_aside(database.engine)
    with database.engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("VACUUM" if database.is_sqlite else "VACUUM ANALYZE")
        if not database.is_sqlite:
            return
        busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
    if busy:
        raise ValueError(
            "Rows are deleted, but somebody reads the database, so that its log still holds them; "
            "close other connections and run this again."
        )


def redacted(value: Any, id: str) -> Any:
    """A JSON value without the entries whose key or text names the id.

    >>> redacted({"unreadable": {"p1": "gone", "p2": "gone"}, "n": [1, "p1"]}, "p1")
    {'unreadable': {'p2': 'gone'}, 'n': [1]}
    """
    if isinstance(value, dict):
        return {k: redacted(v, id) for k, v in value.items()
                if not (mentions(k, id) or (isinstance(v, str) and mentions(v, id)))}  # fmt: skip
    if isinstance(value, list):
        return [redacted(v, id) for v in value if not (isinstance(v, str) and mentions(v, id))]
    return value


def _names(table: sa.Table, kind: str, id: str) -> sa.ColumnElement[bool]:
    """Whether a row names the pin or user in a column of its own."""
    wanted = COLUMNS[kind]
    columns = [c for c in table.columns if c.name in wanted or c.name.endswith(f"_{wanted[0]}")]
    return sa.or_(sa.false(), *(column == id for column in columns))


def _erase_quarantine(connection: sa.Connection, id: str, requests: set[str]) -> int:
    rows = connection.execute(sa.select(quarantine)).mappings().all()
    gone = [
        row for row in rows
        if mentions(row["row_key"], id) or mentions(row["row_json"], id)
        or (row["source_table"] in LOGS and row["row_key"].split("/")[0] in requests)
    ]  # fmt: skip
    keys = [c.name for c in quarantine.primary_key.columns]
    for row in gone:
        connection.execute(sa.delete(quarantine).filter_by(**{name: row[name] for name in keys}))
    return len(gone)


def _redact_runs(connection: sa.Connection, id: str) -> int:
    changed = 0
    for run_id, text in connection.execute(sa.select(runs.c.run_id, runs.c.summary)).all():
        if mentions(text, id):
            summary = json.dumps(redacted(json.loads(text), id))
            where = runs.c.run_id == run_id
            connection.execute(sa.update(runs).where(where).values(summary=summary))
            changed += 1
    return changed
