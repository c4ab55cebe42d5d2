"""The lock with real processes: who holds it, what a kill leaves, PostgreSQL."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from sql.database import Database, open_database
from sql.lock import Busy, holder_of, locked

HOLD = """
import sys, time
from pathlib import Path
from sql.lock import locked
with locked(Path(sys.argv[1]), sys.argv[2] or None, sys.argv[3]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holding(home: Path, db: str = "", command: str = "daily") -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until it is killed or the block ends."""
    words = [sys.executable, "-c", HOLD, str(home), db, command]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest) -> str:
    return "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def test_a_second_command_is_told_who_is_at_work(tmp_path: Path, db: str) -> None:
    with holding(tmp_path, db, "crops label") as other, pytest.raises(Busy) as refused:  # noqa: SIM117
        with locked(tmp_path, db or None, "daily"):
            pass
    holder = refused.value.holder
    assert (holder.command, holder.pid) == ("crops label", other.pid)
    assert holder.host == os.uname().nodename
    assert holder.started_at is not None
    assert abs(holder.started_at.timestamp() + _utc_offset() - time.time()) < 60
    assert f"`related-pins crops label` (process {other.pid} on " in str(refused.value)
    assert "\n" not in str(refused.value)


def _utc_offset() -> int:
    return time.localtime().tm_gmtoff


def test_a_home_of_its_own_does_not_free_the_same_database(
    tmp_path: Path, postgres_url: str
) -> None:
    sqlite = f"sqlite:///{tmp_path}/shared/pins.db"
    for url in (sqlite, postgres_url):
        with holding(tmp_path / "a", url) as other, pytest.raises(Busy) as refused:  # noqa: SIM117
            with locked(tmp_path / "b", url, "rank"):
                pass
        assert refused.value.holder.command == "daily"
        assert refused.value.holder.pid == other.pid


def test_another_home_with_its_own_database_is_free(tmp_path: Path) -> None:
    with holding(tmp_path / "a"), locked(tmp_path / "b", None, "daily") as database:
        assert str(tmp_path / "b") in database.url


def test_a_killed_holder_leaves_no_lock(tmp_path: Path, db: str) -> None:
    with holding(tmp_path, db) as other:
        database = open_database(db or tmp_path / "related_pins.db")
        held = holder_of(tmp_path, database)
        assert held is not None
        assert held.pid == other.pid
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert soon_free(tmp_path, database)
        with locked(tmp_path, db or None, "rank"):
            mine = holder_of(tmp_path, database)
            assert mine is not None
            assert (mine.command, mine.pid) == ("rank", os.getpid())
        assert soon_free(tmp_path, database)
        database.engine.dispose()


def soon_free(home: Path, database: Database) -> bool:
    """Whether the lock is free within seconds: a server takes a moment to see a connection end."""
    until = time.monotonic() + 5
    while holder_of(home, database) and time.monotonic() < until:
        time.sleep(0.05)
    return holder_of(home, database) is None


def test_looking_at_the_lock_does_not_keep_a_command_out(tmp_path: Path) -> None:
    database = open_database(tmp_path / "related_pins.db")
    look = (
        "import sys; from pathlib import Path; from sql.lock import *; from sql.database import *\n"
    )
    look += "home = Path(sys.argv[1]); db = open_database(home / 'related_pins.db')\n"
    look += "print(flush=True)\nwhile True: holder_of(home, db)"
    words = [sys.executable, "-c", look, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        for _ in range(30):
            with locked(tmp_path, None, "daily"):
                assert holder_of(tmp_path, database) is not None
        other.kill()


def test_a_lock_of_other_software_or_a_strange_file_has_a_holder_too(
    tmp_path: Path, postgres_url: str
) -> None:
    with holding(tmp_path):
        for text in ("", "{", "[]", '{"pid": 1}', json.dumps({"started_at": "x", "who": 1})):
            (tmp_path / "related_pins.lock").write_text(text)
            found = holder_of(tmp_path, open_database(tmp_path / "related_pins.db"))
            assert str(found) == "another command"
    database = open_database(postgres_url)
    with database.engine.connect() as connection:
        connection.execute(sa.text(f"SELECT pg_advisory_lock({int.from_bytes(b'rel_pins')})"))
        assert str(holder_of(tmp_path, database)) == "another command"
        with pytest.raises(Busy, match="another command is writing"), \
                locked(tmp_path, postgres_url, "daily"):  # fmt: skip
            pass
        connection.invalidate()
    database.engine.dispose()
