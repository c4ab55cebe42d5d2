"""What changes in partitioned tables on PostgreSQL, published in one transaction.

The rows of a part are loaded and committed in a table aside, which then takes the place of the old
partition in a transaction of a few statements: a reader sees the old part or the new one. Taking
the place needs the parent for itself (PostgreSQL, ALTER TABLE ... ATTACH PARTITION and DROP TABLE,
https://www.postgresql.org/docs/current/ddl-partitioning.html). Readers that come meanwhile wait for
at most `WAIT`; where a long query does not let it happen after `TRIES`, the rows are exchanged one
by one, which waits for nobody.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from psycopg.sql import SQL, Identifier, Literal

from sql.ddl import execute
from sql.partitions import (
    Key,
    attached_partitions,
    condition,
    drop,
    part,
    partition_name,
    take_place,
)

WAIT, PAUSE_SECONDS, TRIES = "500ms", 1.0, 10
WAIT_FOR_VACUUM = "2s"  # which gives way after a second
_BUSY = {"55P03", "40P01"}  # lock_not_available, deadlock_detected


@dataclass(frozen=True)
class Exchange:
    """What is to change in a partitioned table.

    gone: rows that go. whole: keys of partitions of which every row goes. filled: tables aside by
    key, whose rows come.
    """

    table: str
    whole: Collection[Key]
    filled: Mapping[Key, str]
    gone: sa.Delete | None = None


def publish(
    engine: sa.Engine,
    exchanges: Sequence[Exchange],
    statements: Sequence[sa.sql.dml.UpdateBase] = (),
) -> None:
    """Make all the exchanges, in order, and then run the statements, in one transaction.

    A partition that is exchanged whole is swapped. One of which no row comes is dropped.
    """
    with engine.begin() as connection:
        for exchange in exchanges:
            for name in exchange.filled.values():
                execute(connection, "ANALYZE {part}", part=part(name))
    for _ in range(TRIES):
        try:
            with engine.begin() as connection:
                _publish(connection, exchanges, statements, by_swapping=True)
            return
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "sqlstate", None) not in _BUSY:
                raise
        time.sleep(PAUSE_SECONDS)
    with engine.begin() as connection:
        _publish(connection, exchanges, statements, by_swapping=False)


def _publish(
    connection: sa.Connection,
    exchanges: Sequence[Exchange],
    statements: Sequence[sa.sql.dml.UpdateBase],
    *,
    by_swapping: bool,
) -> None:
    """Rows first, and then partitions: tables are locked for as short as can be."""
    swaps, to_lock = list[tuple[Exchange, Key]](), list[str]()
    for exchange in exchanges:
        if exchange.gone is not None:
            connection.execute(exchange.gone)
        there = attached_partitions(connection, exchange.table)
        for key in dict.fromkeys([*exchange.whole, *exchange.filled]):
            attached = partition_name(exchange.table, key) in there
            if attached and not (by_swapping and key in exchange.whole):
                _exchange_rows(connection, exchange, key)
                continue
            swaps.append((exchange, key))
            to_lock += [exchange.table] if attached else []
    _lock(connection, list(dict.fromkeys(to_lock)))
    for exchange, key in swaps:
        _swap(connection, exchange, key)
    for statement in statements:
        connection.execute(statement)


def _exchange_rows(connection: sa.Connection, exchange: Exchange, key: Key) -> None:
    table = exchange.table
    if key in exchange.whole:
        execute(
            connection, "DELETE FROM {table} WHERE {these}",
            table=Identifier(table), these=condition(table, key),
        )  # fmt: skip
    if key in exchange.filled:
        execute(
            connection, "INSERT INTO {table} SELECT * FROM {part}",
            table=Identifier(table), part=part(exchange.filled[key]),
        )  # fmt: skip


def _lock(connection: sa.Connection, tables: Sequence[str]) -> None:
    """Takes the tables for this transaction alone, all of them before any is changed.

    A reader of two tables may have the second and wait for the first. It would be the one to find
    the deadlock after PostgreSQL's deadlock_timeout of a second, and to fail: so this gives up
    earlier.
    """
    if tables:
        names = SQL(", ").join(SQL("ONLY {}").format(Identifier(table)) for table in tables)
        execute(connection, "SET LOCAL lock_timeout = {wait}", wait=Literal(WAIT))
        execute(connection, "LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE", names=names)
        execute(connection, "SET LOCAL lock_timeout = {wait}", wait=Literal(WAIT_FOR_VACUUM))


def _swap(connection: sa.Connection, exchange: Exchange, key: Key) -> None:
    drop(connection, [partition_name(exchange.table, key)])
    if key in exchange.filled:
        take_place(connection, exchange.table, key, exchange.filled[key])
