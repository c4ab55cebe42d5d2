"""Contents of image files, kept in mind between runs: what hash a file has, what shard holds it.

All of it can be found again from the files and the shards. Whoever deletes `HOME/contents` only
makes the next run read every image file and the hashes of every shard once.
"""

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TypeVar

from features.images.images import UnreadableImage, open_image
from features.visuals.shards import shard_hashes, shard_unreadable

SETTLED = 2_000_000_000  # ns; the coarsest clock of a file system (FAT) ticks every two seconds
AT_A_TIME = 500
T = TypeVar("T")
_TABLES = """
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, state BLOB, content BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shards (
    shard INTEGER PRIMARY KEY, feature_version TEXT, path TEXT, UNIQUE (feature_version, path)
);
CREATE TABLE IF NOT EXISTS images (
    feature_version TEXT, content BLOB, shard INTEGER, unreadable TEXT,
    PRIMARY KEY (feature_version, content)
) WITHOUT ROWID;
"""


class Contents:
    """What a home knows of contents; for one process at a time, in a `with`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        try:
            self._connection = _opened(home)
        except sqlite3.DatabaseError:  # damaged
            forget_contents(home)
            self._connection = _opened(home)

    def __enter__(self) -> "Contents":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def hashes(self, files: Mapping[str, Path]) -> tuple[dict[str, str], dict[str, str]]:
        """(name -> SHA-256 of its file, name -> why its file cannot be read).

        A file is not read again while it has the inode, the size and the times of modification and
        of change (ctime, which no program can set) that it had when it was read, if these were
        more than two seconds old then.
        """
        with ThreadPoolExecutor() as pool:
            states = list(chain.from_iterable(pool.map(_states, _slices(list(files.values())))))
            known = self._known(states)
            new = [path for path, h in zip(files.values(), known, strict=True) if h is None]
            read = pool.map(_digest, new)
            found = [next(read) if content is None else content for content in known]
        self._remember(states, known, found)
        by_name = dict(zip(files, found, strict=True))
        unreadable = {n: str(e) for n, e in by_name.items() if isinstance(e, UnreadableImage)}
        return {n: c for n, c in by_name.items() if isinstance(c, str)}, unreadable

    def keep_only(self, feature_version: str, paths: Iterable[str]) -> None:
        """Knows the shards at these paths under home, and no others of the feature version."""
        there = set(paths)
        query = "SELECT path, shard FROM shards WHERE feature_version = ?"
        known = dict(self._connection.execute(query, (feature_version,)))
        gone = [(known[path],) for path in known.keys() - there]
        with self._connection as connection:
            connection.executemany("DELETE FROM images WHERE shard = ?", gone)
            connection.executemany("DELETE FROM shards WHERE shard = ?", gone)
        for path in sorted(there - known.keys()):
            file = self.home / path
            self.add(feature_version, path, shard_hashes(file), shard_unreadable(file))

    def add(
        self, feature_version: str, path: str, hashes: Iterable[str], unreadable: Mapping[str, str]
    ) -> None:
        """Keeps in mind which images a shard holds, and which that were looked at are none."""
        with self._connection as connection:
            sql = "INSERT OR IGNORE INTO shards (feature_version, path) VALUES (?, ?)"
            connection.execute(sql, (feature_version, path))
            sql = "SELECT shard FROM shards WHERE feature_version = ? AND path = ?"
            (shard,) = connection.execute(sql, (feature_version, path)).fetchone()
            reasons = dict.fromkeys(hashes) | dict(unreadable)
            rows = [(feature_version, bytes.fromhex(h), shard, why) for h, why in reasons.items()]
            connection.executemany("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?)", rows)

    def find(
        self, feature_version: str, hashes: Sequence[str]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """(hash -> path of its shard, hash -> why it is no image) of those that are known."""
        shards: dict[str, str] = {}
        unreadable: dict[str, str] = {}
        for some in _slices([bytes.fromhex(one) for one in hashes]):
            rows = self._connection.execute(
                "SELECT content, path, unreadable FROM images JOIN shards USING (shard) "
                f"WHERE images.feature_version = ? AND content IN ({_marks(some)})",
                (feature_version, *some),
            )
            for content, path, why in rows:
                if why is None:
                    shards[content.hex()] = path
                else:
                    unreadable[content.hex()] = why
        return shards, unreadable

    def _known(self, states: Sequence[tuple[bytes, bytes | None]]) -> list[str | None]:
        """The hash of each file by its path and state; None where it is not known."""
        found: dict[tuple[bytes, bytes | None], str] = {}
        for some in _slices([path for path, _ in states]):
            query = f"SELECT path, state, content FROM files WHERE path IN ({_marks(some)})"
            for path, state, content in self._connection.execute(query, some):
                found[path, state] = content.hex()
        return [found.get(one) for one in states]

    def _remember(
        self,
        states: Sequence[tuple[bytes, bytes | None]],
        known: Sequence[str | None],
        found: Sequence[str | UnreadableImage],
    ) -> None:
        rows = [
            (path, state, bytes.fromhex(content))
            for (path, state), before, content in zip(states, known, found, strict=True)
            if state is not None and before is None and isinstance(content, str)
        ]
        with self._connection as connection:
            connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", rows)


def forget_contents(home: Path) -> list[Path]:
    """Deletes everything that is known; the files that were there."""
    gone = sorted((home / "contents").glob("known.db*"))
    for path in gone:
        path.unlink()
    return gone


def _opened(home: Path) -> sqlite3.Connection:
    path = home / "contents" / "known.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_TABLES)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _states(paths: Sequence[Path]) -> list[tuple[bytes, bytes | None]]:
    """(digest of the path, digest of the file's state) of each; no state where it may still change
    without its times changing, or where there is no file.
    """
    now = time.time_ns()
    return [(_short(os.fsencode(os.path.abspath(path))), _state(path, now)) for path in paths]


def _state(path: Path, now: int) -> bytes | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    if max(status.st_mtime_ns, status.st_ctime_ns) > now - SETTLED:
        return None
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return _short(repr((status.st_ino, status.st_size, *times)).encode())


def _short(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=16).digest()


def _digest(path: Path) -> str | UnreadableImage:
    try:
        with open_image(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except UnreadableImage as error:
        return error
    except OSError as error:
        return UnreadableImage(f"The file cannot be read ({error.strerror}).")


def _slices(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + AT_A_TIME] for start in range(0, len(values), AT_A_TIME))


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
