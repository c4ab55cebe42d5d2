"""The state of a home and its database: runs, rows, feature versions, disk, the next run."""

import datetime as dt
import json
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from sql.database import Database
from sql.home import BACKFILL
from sql.lock import Holder, holder_of
from sql.logs import masked
from sql.next_run import NextRun, next_run
from sql.tables import METADATA, manifest, pin_visuals, runs

__all__ = ["PastDay", "Run", "Status", "TableState", "Version", "status"]


@dataclass(frozen=True)
class Run:
    """A command that wrote. status: running, done, failed or killed; seconds: how long it took, so
    far where it is running, None where it was killed; error: why it failed.
    """

    run_id: str
    command: str
    date: dt.date
    status: str
    started_at: dt.datetime
    seconds: float | None
    feature_version: str | None
    error: str | None


@dataclass(frozen=True)
class TableState:
    """Rows of a table and the last value of its column `date`; None without rows or column."""

    rows: int
    last_date: dt.date | None


@dataclass(frozen=True)
class Version:
    """A feature version: its kind where it is the current one of a kind (detected, true_boxes), its
    pins, objects, shards and candidate pairs, days with interest, and when its last shard was
    written.
    """

    feature_version: str
    current: str | None
    pins: int
    objects: int
    shards: int
    pairs: int
    days: int
    last_shard_at: dt.datetime | None


@dataclass(frozen=True)
class PastDay:
    """A day of a backfill that is not taken over into the home; made: whether it is ready."""

    date: dt.date
    made: bool


@dataclass(frozen=True)
class Status:
    """What `related-pins status` says. runs: newest first; disk: bytes by part of the home."""

    home: str
    database: str
    at: dt.datetime
    holder: Holder | None
    runs: tuple[Run, ...]
    tables: dict[str, TableState]
    versions: tuple[Version, ...]
    disk: dict[str, int]
    disk_free: int
    next_run: NextRun
    past_days: tuple[PastDay, ...] = ()


def status(home: Path, database: Database, now: dt.datetime | None = None) -> Status:
    """The state at `now` (UTC); reads only, also while another command writes.

    Tables that the database does not have yet are left out.
    """
    now = now or dt.datetime.now(dt.UTC).replace(tzinfo=None)
    holder = holder_of(home, database)
    found = tuple(_runs(database, holder, now))
    current = _current(database)
    return Status(
        home=str(home.resolve()),
        database=masked(database.engine.url.render_as_string(), database.url),
        at=now,
        holder=holder,
        runs=found,
        tables=_tables(database),
        versions=tuple(_versions(database, current)),
        disk=_disk(home, database),
        disk_free=shutil.disk_usage(home if home.exists() else Path()).free,
        next_run=next_run(database, current.get("detected")),
        past_days=tuple(_past_days(home)),
    )


def _runs(database: Database, holder: Holder | None, now: dt.datetime) -> Iterable[Run]:
    """Newest first. Only the holder of the lock runs: any other that says so is gone."""
    failure = sa.case((runs.c.status == "failed", runs.c.summary))
    columns = [c for c in runs.c if c.name != "summary"]
    query = sa.select(*columns, failure.label("failure")).order_by(runs.c.started_at.desc())
    with database.engine.connect() as connection:
        rows = connection.execute(query).all()
    for row in rows:
        state, end = row.status, row.finished_at
        if state == "running":
            ours = holder is not None and row.started_at >= (holder.started_at or dt.datetime.min)
            state, end, holder = ("running", now, None) if ours else ("killed", None, holder)
        seconds = round((end - row.started_at).total_seconds(), 1) if end else None
        error = json.loads(row.failure or "{}").get("error")
        yield Run(
            row.run_id, row.command, row.date, state, row.started_at, seconds,
            row.feature_version, error,
        )  # fmt: skip


def _past_days(home: Path) -> Iterable[PastDay]:
    """By the homes they are made in; the report comes last."""
    for folder in sorted((home / BACKFILL).glob("????-??-??")):
        day = dt.date.fromisoformat(folder.name)
        yield PastDay(day, (folder / "reports" / folder.name / "report.html").exists())


def _tables(database: Database) -> dict[str, TableState]:
    there = set(sa.inspect(database.engine).get_table_names())
    states = {}
    with database.engine.connect() as connection:
        for name, table in METADATA.tables.items():
            if name in there:
                date = table.c["date"] if "date" in table.c else sa.cast(sa.null(), sa.Date())
                query = sa.select(sa.func.count(), sa.func.max(date)).select_from(table)
                states[name] = TableState(*connection.execute(query).one())
    return states


def _current(database: Database) -> dict[str, str]:
    query = sa.select(manifest.c.piece, manifest.c.feature_version).where(
        manifest.c.step == "feature_version", manifest.c.feature_version.is_not(None)
    )
    with database.engine.connect() as connection:
        return {row.piece: row.feature_version for row in connection.execute(query)}


def _versions(database: Database, current: dict[str, str]) -> Iterable[Version]:
    """The current ones first, then by age of the last shard, newest first."""
    pins = sa.select(
        pin_visuals.c.feature_version, sa.func.count(), sa.func.sum(pin_visuals.c.n_objects)
    ).group_by(pin_visuals.c.feature_version)
    step = manifest.c.step
    work = (
        sa.select(
            manifest.c.feature_version,
            sa.func.count(sa.case((step == "visuals", 1))),
            sa.func.sum(sa.case((step == "pair_features", manifest.c.n_rows), else_=0)),
            sa.func.count(sa.case((step == "pair_interest", 1))),
            sa.func.max(sa.case((step == "visuals", manifest.c.finished_at))),
        )
        .where(step.in_(("visuals", "pair_features", "pair_interest")))
        .group_by(manifest.c.feature_version)
    )
    with database.engine.connect() as connection:
        seen = {name: (n, int(objects or 0)) for name, n, objects in connection.execute(pins)}
        made: dict[str, tuple[int, int, int, dt.datetime | None]] = {
            name: (shards, int(pairs), days, at)
            for name, shards, pairs, days, at in connection.execute(work)
        }
    kinds = {name: kind for kind, name in current.items()}
    found = []
    for name in {*seen, *made, *kinds}:
        n_pins, objects = seen.get(name, (0, 0))
        work_done = made.get(name, (0, 0, 0, None))
        found.append(Version(name, kinds.get(name), n_pins, objects, *work_done))
    old = dt.datetime.min
    order = sorted(found, key=lambda v: (v.last_shard_at or old, v.feature_version), reverse=True)
    return sorted(order, key=lambda v: v.current is None)


def _disk(home: Path, database: Database) -> dict[str, int]:
    """Bytes by part: database, then what the home holds, visuals by version."""
    sizes = {"database": _database_bytes(database)}
    for entry in sorted(home.iterdir()) if home.exists() else []:
        if entry.name == "visuals":
            sizes |= {f"visuals/{v.name}": _bytes(v) for v in sorted(entry.iterdir())}
        elif entry.is_dir():
            sizes[entry.name] = _bytes(entry)
    return sizes


def _database_bytes(database: Database) -> int:
    if not database.is_sqlite:
        with database.engine.connect() as connection:
            size = sa.func.pg_database_size(sa.func.current_database())
            return int(connection.scalar(sa.select(size)) or 0)
    path = Path(str(database.engine.url.database))
    return sum(_bytes(file) for file in path.parent.glob(f"{path.name}*"))


def _bytes(path: Path) -> int:
    """Of a file, or of all files in a folder; what goes away meanwhile counts nothing."""
    files = [path] if path.is_file() else [
        Path(folder, name) for folder, _, names in os.walk(path) for name in names
    ]  # fmt: skip
    n_bytes = 0
    for file in files:
        with suppress(FileNotFoundError):
            n_bytes += file.stat().st_size
    return n_bytes
