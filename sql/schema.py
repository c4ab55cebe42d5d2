"""The schema of a database: tables by migration, then the views."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from sql import manifest
from sql.manifest import fingerprint

HERE = Path(__file__).parent


def upgrade(engine: sa.Engine) -> None:
    """Migrate the tables to the newest schema and bring the views up to date.

    Views are dropped while tables change: SQLite refuses to alter a table that a view reads.
    """
    config = Config()
    config.set_main_option("script_location", str(HERE / "migrations").replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        current = MigrationContext.configure(connection).get_current_revision()
        behind = current != ScriptDirectory.from_config(config).get_current_head()
        if behind:
            drop_views(connection)
            command.upgrade(config, "head")
        refresh_views(connection, anew=behind)


def view_files() -> list[Path]:
    """The .sql files of the views, each named as its view: staging views first, then marts."""
    files = (HERE / "views").glob("*.sql")
    return sorted(files, key=lambda file: (not file.stem.startswith("stg_"), file.stem))


def drop_views(connection: sa.Connection) -> None:
    """Drop the views that there are files for; others are an analyst's own."""
    for file in reversed(view_files()):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {file.stem}")


def refresh_views(connection: sa.Connection, *, anew: bool = False) -> None:
    """Create the views again if a file has changed since they were created, or if told to."""
    files = view_files()
    stamp = fingerprint([[f.name, f.read_text()] for f in files])
    if manifest.find(connection, "views", "all") == stamp and not anew:
        return
    drop_views(connection)
    for file in files:
        connection.exec_driver_sql(f"CREATE VIEW {file.stem} AS\n{file.read_text()}")
    manifest.record(connection, step="views", piece="all", fingerprint=stamp, n_rows=len(files))
