"""Pruning: feature versions that nobody reads any more, their rows, shards and search indexes."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from features.pairs.store import STEP
from features.search.build import drop_index
from sql.database import Change, Database
from sql.tables import (
    manifest,
    object_interest,
    pair_features,
    pair_interest,
    pin_objects,
    pin_visuals,
)

TABLES = (pin_visuals, pin_objects, object_interest, pair_features, pair_interest, manifest)
MADE = ("visuals", "object_interest", "pair_features", "pair_interest", STEP)
SHARDS = ("visuals", "pairs")


@dataclass(frozen=True)
class Prunable:
    """What goes with a feature version: rows by table, shard files, the folder of the search index,
    and the bytes of both.
    """

    feature_version: str
    rows: dict[str, int]
    shards: tuple[Path, ...]
    index: Path
    n_bytes: int


def prunable(
    database: Database, home: Path, current: Collection[str], keep: Collection[str] = ()
) -> list[Prunable]:
    """What can go: every feature version with rows or shards, but for the current ones, those to
    keep, and those whose shards hold the vectors of one of these.

    A version without projection from which a current one was projected can go: the daily job has
    its own shards and never reads it again. Keep it to learn another projection, which would
    otherwise look at every image anew. Raises ValueError for a version to keep that is not there.
    """
    there = _versions(database, home)
    if unknown := set(keep) - there:
        raise ValueError(
            f"There is no feature version {min(unknown)}; there are {', '.join(sorted(there))}."
        )
    wanted = {*current, *keep}
    return [
        _prunable(database, home, v) for v in sorted(there - wanted - _read_by(database, wanted))
    ]


def prune(database: Database, found: Prunable) -> None:
    """Drops a feature version, on PostgreSQL with its partitions; killed and called again, it goes
    on. Files go last, so that no row ever points to a shard that is gone."""
    version = found.feature_version
    days = [(version, day) for day in _days(database, version)]
    changes = [Change(pair_interest, [], days), Change(pair_features, [], [(version,)])]
    others = (table for table in TABLES if table not in (pair_interest, pair_features))
    database.publish(changes, [sa.delete(table).where(_of(table, version)) for table in others])
    drop_index(found.index)
    for path in found.shards:
        path.unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


def _days(database: Database, version: str) -> list[dt.date]:
    """The days of a version's pair interest: those with rows, and those that were made."""
    query = sa.select(pair_interest.c.date).where(pair_interest.c.feature_version == version)
    made = sa.select(manifest.c.piece).where(
        manifest.c.step == "pair_interest", manifest.c.feature_version == version
    )
    pieces = database.read(made)["piece"].to_pylist()
    days = {dt.date.fromisoformat(piece.rpartition("/")[2]) for piece in pieces}
    return sorted(days | set(database.read(query.distinct())["date"].to_pylist()))


def _versions(database: Database, home: Path) -> set[str]:
    versions: set[str] = set()
    for table in TABLES:
        column = table.c.feature_version
        where = table.c.step.in_(MADE) if table is manifest else column.is_not(None)
        rows = database.read(sa.select(column).where(where).distinct())
        versions |= set(rows["feature_version"].to_pylist())
    folders = (path for part in (*SHARDS, "index") for path in (home / part).glob("*"))
    return versions | {path.name for path in folders if path.is_dir()}


def _read_by(database: Database, wanted: Collection[str]) -> set[str]:
    """The versions in whose folders the shards of the wanted ones lie."""
    query = sa.select(pin_visuals.c.shard).where(pin_visuals.c.feature_version.in_(wanted))
    shards = database.read(query.distinct())["shard"].to_pylist()
    return {Path(shard).parent.name for shard in shards if shard}


def _prunable(database: Database, home: Path, version: str) -> Prunable:
    count = sa.func.count().label("n")
    rows = {
        table.name: int(
            database.read(sa.select(count).select_from(table).where(_of(table, version)))["n"][
                0
            ].as_py()
        )
        for table in TABLES
    }
    made = (path for part in SHARDS for path in (home / part / version).glob("*"))
    shards = tuple(sorted(path for path in made if path.is_file()))
    index = home / "index" / version
    files = (*shards, *(path for path in index.rglob("*") if path.is_file()))
    return Prunable(version, rows, shards, index, sum(path.stat().st_size for path in files))


def _of(table: sa.Table, version: str) -> sa.ColumnElement[bool]:
    """A version's rows; of the manifest those of its features, not of what was ranked by them."""
    mine = table.c.feature_version == version
    return mine & table.c.step.in_(MADE) if table is manifest else mine
