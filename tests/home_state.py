"""What a home holds after a daily job, to be compared with another."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from sql.database import Database
from sql.tables import METADATA

UNLIKE = {  # columns that no two runs share; tables with none of interest
    "runs": set(METADATA.tables["runs"].columns.keys()),
    "manifest": {"finished_at"},
    "experiment_runs": {"made_at"},
}
SUMS = ("pin_pair_engagement", "engagement_features")  # a server adds up in another order
UNLIKE_FILES = ("related_pins.db", "related_pins.lock", "logs/", "contents/")


@dataclass(frozen=True)
class State:
    """Rows by table, in some fixed order, and SHA-256 by file under home."""

    tables: dict[str, list[tuple[object, ...]]]
    files: dict[str, str]


def state(database: Database, home: Path, rounded: Collection[str] = ()) -> State:
    """All tables and files of a home, without what no two runs share.

    rounded: tables whose reals are compared to nine digits.
    """
    tables = {}
    for name, table in METADATA.tables.items():
        columns = [c for c in table.columns if c.name not in UNLIKE.get(name, ())]
        if columns:
            rows = database.read(sa.select(*columns)).to_pylist()
            read = (tuple(row.values()) for row in rows)
            if name in rounded:
                read = (tuple(_nine_digits(value) for value in row) for row in read)
            tables[name] = sorted(read, key=repr)
    return State(tables, {name: sha256(home / name) for name in files(home)})


def _nine_digits(value: object) -> object:
    return float(f"{value:.9g}") if isinstance(value, float) else value


def files(home: Path) -> list[str]:
    """Names of the files under home, but for the database's, the lock and the logs."""
    found = (path for path in home.rglob("*") if path.is_file())
    names = (path.relative_to(home).as_posix() for path in found)
    return sorted(name for name in names if not name.startswith(UNLIKE_FILES))


def differences(found: State, reference: State) -> Iterator[str]:
    """One sentence for each table and file that is not as in the reference."""
    for name, rows in reference.tables.items():
        here = found.tables[name]
        if len(set(here)) < len(here):
            yield f"{name} holds {len(here) - len(set(here))} rows twice"
        if here != rows:
            some = sorted(set(here) ^ set(rows), key=repr)[:2]
            yield f"{name} holds {len(here)} rows for {len(rows)}, such as {some}"
    for name in sorted(found.files.keys() | reference.files.keys()):
        if name not in reference.files:
            yield f"{name} is left over"
        elif name not in found.files:
            yield f"{name} is missing"
        elif found.files[name] != reference.files[name]:
            yield f"{name} differs"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
