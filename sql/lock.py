"""One command at a time writes to a home and a database; a second one says who is at work.

Locks belong to the kernel (flock) and to the PostgreSQL server (session advisory locks,
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS), so that the lock of
a process that was killed is free at once: no lock is ever stale.
"""

import datetime as dt
import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa

from sql.database import Database, open_database

__all__ = ["Busy", "Holder", "holder_of", "locked"]

FILE = "related_pins.lock"
KEY = int.from_bytes(b"rel_pins")  # of the advisory lock, a bigint
WAIT_SECONDS = 1.0  # longer than another command looks at the lock
_NAME = "related-pins "  # application_name is this and the holder; the server keeps 63 bytes
_NAMED = re.compile(_NAME + r"(.+) (\d+) (\d+) (\S*)")
_SERVER_HOLDER = """
SELECT a.application_name
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.classid::bigint = :high AND l.objid::bigint = :low
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True)
class Holder:
    """Who holds the lock: the command, its process and host, and its start (UTC); what is not
    known is None.
    """

    command: str | None = None
    pid: int | None = None
    host: str | None = None
    started_at: dt.datetime | None = None

    def __str__(self) -> str:
        """For people.

        >>> start = dt.datetime(2026, 11, 15, 2, 15)
        >>> print(Holder("daily", 4711, "worker-3", start))
        `related-pins daily` (process 4711 on worker-3, since 2026-11-15 02:15:00 UTC)
        >>> print(Holder())
        another command
        """
        if self.command is None:
            return "another command"
        since = f", since {self.started_at:%F %T} UTC" if self.started_at else ""
        return f"`related-pins {self.command}` (process {self.pid} on {self.host}{since})"


class Busy(Exception):
    """Another command is writing to the same home or database."""

    def __init__(self, holder: Holder, place: str) -> None:
        self.holder = holder
        super().__init__(
            f"{holder} is writing to {place}; run this again when it has ended "
            "(`related-pins status` shows it)."
        )


@contextmanager
def locked(home: Path, db: str | None, command: str) -> Iterator[Database]:
    """The database of this home or URL as it is, while the locks of home and database are held.

    Raises Busy, after a second, where another process has it. flock needs a local disk or an NFS
    that both hosts mount with locks; the lock of PostgreSQL needs a direct connection or a pool
    per session.
    """
    database = open_database(db or home / "related_pins.db")
    me = Holder(command, os.getpid(), socket.gethostname(), _now())
    with ExitStack() as held:
        for folder in _folders(home, database):
            held.enter_context(_file_lock(folder, me))
        if not database.is_sqlite:
            held.enter_context(_server_lock(database.engine.url, me))
        yield database


def holder_of(home: Path, database: Database) -> Holder | None:
    """Who is writing to the home or the database now, or None; takes no lock that lasts."""
    for folder in _folders(home, database):
        try:
            with (folder / FILE).open() as file:
                if not _tried(file, fcntl.LOCK_SH):
                    return _parsed(file.read())
        except FileNotFoundError:
            continue
    if not database.is_sqlite:
        with database.engine.connect() as connection:
            return _server_holder(connection)
    return None


def _folders(home: Path, database: Database) -> list[Path]:
    """Always in one order, so that two commands never wait for each other."""
    folders = {home.resolve()}
    if database.is_sqlite:
        folders.add(Path(str(database.engine.url.database)).resolve().parent)
    return sorted(folders)


@contextmanager
def _file_lock(folder: Path, me: Holder) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("a+") as file:
        until = time.monotonic() + WAIT_SECONDS
        while not _tried(file, fcntl.LOCK_EX):
            if time.monotonic() > until:
                file.seek(0)
                raise Busy(_parsed(file.read()), str(folder))
            time.sleep(0.05)
        file.truncate(0)
        file.write(json.dumps(asdict(me), default=str) + "\n")
        file.flush()
        yield


def _tried(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _server_lock(url: sa.URL, me: Holder) -> Iterator[None]:
    assert me.started_at is not None
    since = int(me.started_at.replace(tzinfo=dt.UTC).timestamp())
    name = f"{_NAME}{me.command} {since} {me.pid} {me.host}"
    engine = sa.create_engine(
        url, poolclass=sa.pool.NullPool, pool_reset_on_return=None, isolation_level="AUTOCOMMIT",
        connect_args={"application_name": name},
    )  # fmt: skip
    with engine.connect() as connection:
        if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(KEY))):
            place = url.render_as_string()
            raise Busy(_server_holder(connection) or Holder(), place)
        yield


def _server_holder(connection: sa.Connection) -> Holder | None:
    halves = {"high": KEY >> 32, "low": KEY & 0xFFFFFFFF}
    row = connection.execute(sa.text(_SERVER_HOLDER), halves).first()
    if row is None:
        return None
    match = _NAMED.fullmatch(row[0] or "")
    if match is None:
        return Holder()
    command, since, pid, host = match.groups()
    start = dt.datetime.fromtimestamp(int(since), dt.UTC).replace(tzinfo=None)
    return Holder(command, int(pid), host, start)


def _parsed(text: str) -> Holder:
    try:
        found: dict[str, Any] = json.loads(text)
        start = dt.datetime.fromisoformat(found.pop("started_at"))
        return Holder(**found, started_at=start)
    except (ValueError, TypeError, KeyError):
        return Holder()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)
