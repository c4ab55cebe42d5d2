"""Connections to the database: SQLAlchemy for schema and small writes, ADBC for Arrow tables.

Python and the ADBC driver each carry a SQLite library of their own. POSIX file locks belong to the
process, so neither library sees the locks of the other in the same process, and the one that
closes last in its own eyes deletes the write-ahead log under the other
(https://www.sqlite.org/howtocorrupt.html, section 2.2.1). `_Turns` therefore lets only one of the
two have the file open in a process at a time. Other processes are not concerned.
"""

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

BUSY_SECONDS = 60


class _Turns:
    """Who has which SQLite file open in this process: `(file, library, thread) -> connections`."""

    def __init__(self) -> None:
        self._open: Counter[tuple[str, str, int]] = Counter()
        self._changed = threading.Condition()

    def _others(self, path: str, library: str) -> set[int]:
        return {t for (p, lib, t), n in self._open.items() if n and p == path and lib != library}

    def take(self, path: str, library: str) -> tuple[str, str, int]:
        me = threading.get_ident()
        with self._changed:
            free = self._changed.wait_for(
                lambda: not (others := self._others(path, library)) or me in others, BUSY_SECONDS
            )
            if not free or me in self._others(path, library):
                raise RuntimeError(
                    f"{path} is still open by the other SQLite library; leave the engine's "
                    "connection, or finish the batches, before this call"
                )
            turn = (path, library, me)
            self._open[turn] += 1
            return turn

    def give(self, turn: tuple[str, str, int]) -> None:
        with self._changed:
            self._open[turn] -= 1
            self._open += Counter()
            self._changed.notify_all()


_TURNS = _Turns()


class _Connection(sqlite3.Connection):
    turn: tuple[str, str, int] | None = None

    def close(self) -> None:
        super().close()
        if self.turn is not None:
            _TURNS.give(self.turn)
            self.turn = None


def _connect_sqlite(path: str) -> sqlite3.Connection:
    turn = _TURNS.take(path, "sqlite3")
    try:
        connection = sqlite3.connect(
            _address(path), timeout=BUSY_SECONDS, factory=_Connection, check_same_thread=False,
            uri=True,
        )  # fmt: skip
    except sqlite3.Error:
        _TURNS.give(turn)
        raise
    connection.turn = turn
    connection.isolation_level = None  # transactions begin where SQLAlchemy begins them
    try:
        if not _only_readable(path):
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        connection.close()  # gives the turn back
        raise
    return connection


def _address(path: str) -> str:
    """How SQLite is to open a file: by its path, or where it can only be read, by a URI.

    Where the write-ahead log is empty, nobody is writing, and the file is opened as one that does
    not change: SQLite could not make the log that it wants beside it. Otherwise the log that is
    there is read too (https://www.sqlite.org/wal.html, "Read-Only Databases").
    """
    if not _only_readable(path):
        return path
    log = Path(f"{path}-wal")
    how = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
    return f"{Path(path).absolute().as_uri()}?{how}"


def _only_readable(path: str) -> bool:
    file = Path(path)
    return file.exists() and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def create_engine(url: sa.URL) -> sa.Engine:
    """The SQLAlchemy engine of a SQLite file (WAL mode) or a PostgreSQL database.

    Changes of the schema are part of a transaction like any other, in both: Python's sqlite3 would
    begin one only at the first change of a row, and leave half a migration behind when killed
    (https://docs.sqlalchemy.org/en/20/dialects/sqlite.html, "Enabling Non-Legacy SQLite
    Transactional Modes").
    """
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url)
    path = str(url.database)
    engine = sa.create_engine(
        url, creator=lambda: _connect_sqlite(path), poolclass=sa.pool.NullPool
    )
    sa.event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN")


@contextmanager
def connect_arrow(url: sa.URL, *, write: bool) -> Iterator[Any]:
    """An ADBC connection inside one transaction: committed on leaving, rolled back on an error.

    Without `write` the database refuses every change.
    """
    if url.get_backend_name() == "sqlite":
        with _connect_sqlite_arrow(str(url.database), write) as connection:
            yield connection
    else:
        with _connect_postgresql_arrow(url, write) as connection:
            yield connection


@contextmanager
def _connect_sqlite_arrow(path: str, write: bool) -> Iterator[Any]:
    from adbc_driver_sqlite import dbapi

    if not Path(path).exists():
        raise FileNotFoundError(f"There is no database at {path}; upgrade it first.")
    turn = _TURNS.take(path, "adbc")
    try:
        with dbapi.connect(_address(path), autocommit=True) as connection:
            with connection.cursor() as cursor:
                cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
                cursor.execute("PRAGMA synchronous = NORMAL")
                cursor.execute("PRAGMA cache_size = -200000")
                cursor.execute(f"PRAGMA query_only = {int(not write)}")
            with _transaction(connection):
                yield connection
    finally:
        _TURNS.give(turn)


@contextmanager
def _connect_postgresql_arrow(url: sa.URL, write: bool) -> Iterator[Any]:
    from adbc_driver_postgresql import dbapi

    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with dbapi.connect(plain, autocommit=True) as connection:
        if not write:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        with _transaction(connection):
            yield connection


@contextmanager
def _transaction(connection: Any) -> Iterator[None]:
    session = connection.adbc_connection
    session.set_autocommit(False)
    try:
        yield
    except BaseException:
        session.rollback()
        raise
    session.commit()
