"""The home folder's database: how a command finds it, and what it was last filled with.

Heavy imports happen inside the functions, so that `related-pins --help` is quick.
"""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sql.database import Database

HOME = Path(".related-pins")
BACKFILL = "backfill"  # holds a home per day while past days are made
_HOME_HELP = "Folder of the embedded database, visual shards, models and reports."
_DB_HELP = "URL of a database other than HOME's own."
Home = Annotated[Path, typer.Option(envvar="RELATED_PINS_HOME", help=_HOME_HELP)]
Db = Annotated[str | None, typer.Option(envvar="RELATED_PINS_DB", help=_DB_HELP)]


def opened(home: Path, db: str | None) -> "Database":
    """The database of this home or URL, migrated."""
    from sql.database import open_database

    database = open_database(db or home / "related_pins.db")
    database.upgrade()
    return database


def clear_leftovers(home: Path) -> None:
    """Deletes what killed processes of this machine were writing aside, `.<name>.<process id>`,
    and the homes of days of a backfill that was killed.

    A file of a process that is still there stays. To be called while the home is locked.
    """
    shutil.rmtree(home / BACKFILL, ignore_errors=True)
    for path in home.rglob(".*"):
        process = path.suffix.removeprefix(".")
        if process.isdigit() and path.is_file() and not _runs(int(process)):
            path.unlink(missing_ok=True)


def existing(home: Path, db: str | None) -> "Database":
    """The database as it is; a home without one is an error, not a new database."""
    from sql.database import open_database

    if db is None and not (home / "related_pins.db").exists():
        raise FileNotFoundError(
            f"There is no database in {home}; name another --home, or run `related-pins daily`."
        )
    return open_database(db or home / "related_pins.db")


def feature_versions(database: "Database") -> dict[str, str]:
    """The newest feature version by kind: 'detected' and, with true boxes, 'true_boxes'.

    Raises ValueError where there are no features.
    """
    rows = database.read(
        "SELECT piece, feature_version FROM manifest "
        "WHERE step = 'feature_version' AND feature_version IS NOT NULL"
    ).to_pylist()
    if not rows:
        raise ValueError("There are no features yet; run `related-pins features` first.")
    return {row["piece"]: row["feature_version"] for row in rows}


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
