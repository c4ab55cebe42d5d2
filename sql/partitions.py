"""Partitions on PostgreSQL: which tables are cut by what, and where a part is filled aside.

Partitions are in a schema of their own, so that the tables remain what people see. How a filled
part takes the place of the old one is in sql/exchanges.py.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import reduce
from itertools import product
from operator import and_
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from psycopg.sql import SQL, Composable, Identifier, Literal
from sqlalchemy.dialects.postgresql import REGCLASS

from sql.ddl import execute
from sql.manifest import fingerprint

SCHEMA = "partitions"
PARTITIONED: dict[str, tuple[str, ...]] = {
    "impressions": ("date",),
    "pair_features": ("feature_version",),
    "pair_interest": ("feature_version", "date"),
}
_LONGEST_NAME = 63  # bytes; PostgreSQL cuts what is longer

Key = tuple[Any, ...]


def as_partitioned(tables: sa.MetaData) -> sa.MetaData:
    """A copy of the tables as PostgreSQL has them.

    The columns a table is partitioned by are in its primary key, as PostgreSQL demands; an index
    on just these columns is left out, for each partition has only one value of them.
    """
    copy = sa.MetaData()
    for table in tables.sorted_tables:
        table.to_metadata(copy)
    for name, columns in PARTITIONED.items():
        table = copy.tables[name]
        keys = [c.name for c in table.primary_key.columns]
        for column in columns:
            table.columns[column].primary_key, table.columns[column].nullable = True, False
        table.append_constraint(sa.PrimaryKeyConstraint(*dict.fromkeys([*keys, *columns])))
        for index in list(table.indexes):
            if tuple(c.name for c in index.columns) == columns:
                table.indexes.remove(index)
    return copy


def partition_name(table: str, key: Key) -> str:
    """The name of a table's partition: the table and the key, or its hash where that is too long.

    >>> from datetime import date
    >>> partition_name("impressions", (date(2026, 11, 15),))
    'impressions_2026-11-15'
    """
    name = "_".join([table, *map(str, key)])
    aside = len(_aside(name).encode())
    return name if aside <= _LONGEST_NAME else f"{table}_{fingerprint(*key)}"


def named_keys(table: str, where: Mapping[str, Any]) -> list[Key] | None:
    """The keys of the partitions that the equalities name; None where they name something else.

    >>> named_keys("pair_interest", {"date": [1, 2], "feature_version": "v"})
    [('v', 1), ('v', 2)]
    >>> named_keys("pair_interest", {"date": 1}) is named_keys("pins", {}) is None
    True
    """
    columns = PARTITIONED.get(table, ())
    if not columns or set(where) != set(columns):
        return None
    values = (where[column] for column in columns)
    listed = (v if isinstance(v, list | tuple | set | frozenset) else [v] for v in values)
    return list(dict.fromkeys(product(*listed)))


def keys_of(table: str, rows: pa.Table) -> list[Key]:
    """The keys of the partitions that the rows belong to; none for a table that has none."""
    columns = list(PARTITIONED.get(table, ()))
    if not columns:
        return []
    return [tuple(row.values()) for row in rows.group_by(columns).aggregate([]).to_pylist()]


def rows_of(table: str, rows: pa.Table, key: Key) -> pa.Table:
    """Those of the rows that belong to one partition."""
    columns = zip(PARTITIONED[table], key, strict=True)
    return rows.filter(reduce(and_, (pc.field(column) == value for column, value in columns)))


def attach_missing(connection: sa.Connection, table: str, keys: Collection[Key]) -> None:
    """Give the table an empty partition for each key that has none. Readers need not wait."""
    there = attached_partitions(connection, table)
    for key in keys:
        if (name := partition_name(table, key)) not in there and None not in key:
            _create(connection, table, key, name)
            _attach(connection, table, key, name)


def make_room(engine: sa.Engine, table: str, keys: Collection[Key]) -> None:
    """As attach_missing, in a transaction of its own, while nobody else changes the partitions."""
    wanted = {partition_name(table, key) for key in keys}
    with engine.connect() as connection:
        if wanted <= attached_partitions(connection, table):
            return
    with _alone(engine, table), engine.begin() as connection:
        attach_missing(connection, table, keys)


@contextmanager
def aside(engine: sa.Engine, table: str, keys: Sequence[Key]) -> Iterator[dict[Key, str]]:
    """Empty tables in `SCHEMA`, by key, to be filled and published before leaving.

    What was not published is dropped, also what a killed process left. Meanwhile nobody else
    changes the table's partitions.
    """
    names = {key: _aside(partition_name(table, key)) for key in keys}
    with _alone(engine, table):
        with engine.begin() as connection:
            drop(connection, left_aside(connection, table))
            for key, name in names.items():
                _create(connection, table, key, name)
        try:
            yield names
        finally:
            with engine.begin() as connection:
                drop(connection, names.values())


def take_place(connection: sa.Connection, table: str, key: Key, filled: str) -> None:
    name = partition_name(table, key)
    execute(
        connection, "ALTER TABLE {part} RENAME TO {name}",
        part=part(filled), name=Identifier(name),
    )  # fmt: skip
    _attach(connection, table, key, name)


def _create(connection: sa.Connection, table: str, key: Key, name: str) -> None:
    execute(
        connection,
        "CREATE TABLE {part} (LIKE {table} INCLUDING ALL, CONSTRAINT this_part CHECK ({these}))",
        part=part(name), table=Identifier(table), these=condition(table, key),
    )  # fmt: skip


def _attach(connection: sa.Connection, table: str, key: Key, name: str) -> None:
    """Attach a table whose CHECK says what the bounds will say: no row is looked at again."""
    execute(
        connection, "ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES {bounds}",
        table=Identifier(table), part=part(name), bounds=_bounds(key),
    )  # fmt: skip
    execute(connection, "ALTER TABLE {part} DROP CONSTRAINT this_part", part=part(name))


def drop(connection: sa.Connection, names: Collection[str]) -> None:
    for name in names:
        execute(connection, "DROP TABLE IF EXISTS {part}", part=part(name))


def left_aside(connection: sa.Connection, table: str = "") -> list[str]:
    """The tables aside of a table, or of all, that are there."""
    query = sa.text(
        "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE n.nspname = :schema AND c.relkind = 'r' AND NOT c.relispartition"
    )
    names: Iterable[str] = connection.execute(query, {"schema": SCHEMA}).scalars()
    return [name for name in names if name.startswith(table)]


def drop_aside(engine: sa.Engine) -> None:
    """Drops what killed processes left aside; to be called while nobody else writes."""
    with engine.begin() as connection:
        drop(connection, left_aside(connection))


def attached_partitions(connection: sa.Connection, table: str) -> set[str]:
    query = sa.text(
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = to_regclass(:table)"
    )
    return set(connection.execute(query, {"table": table}).scalars())


@contextmanager
def _alone(engine: sa.Engine, table: str) -> Iterator[None]:
    """While nobody else changes the partitions of the table; the lock ends with the connection."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        lock = sa.cast(sa.cast(table, REGCLASS), sa.BigInteger)
        connection.execute(sa.select(sa.func.pg_advisory_lock(lock)))
        try:
            yield
        finally:
            connection.execute(sa.select(sa.func.pg_advisory_unlock(lock)))


def _aside(name: str) -> str:
    return f"{name}_aside"


def part(name: str) -> Composable:
    return Identifier(SCHEMA, name)


def _bounds(key: Key) -> Composable:
    """One value of a list, or of several columns the range from the key to the day after it."""
    if len(key) == 1:
        return SQL("IN ({})").format(Literal(key[0]))
    end = (*key[:-1], key[-1] + timedelta(days=1))
    row = SQL(", ").join
    return SQL("FROM ({}) TO ({})").format(row(map(Literal, key)), row(map(Literal, end)))


def condition(table: str, key: Key) -> Composable:
    columns = zip(PARTITIONED[table], key, strict=True)
    return SQL(" AND ").join(SQL("{} = {}").format(Identifier(c), Literal(v)) for c, v in columns)
