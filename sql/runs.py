"""Runs: what was started, what became of it, and what it counted."""

import datetime as dt
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa

from sql.database import Database
from sql.errors import in_one_line
from sql.logs import masked
from sql.tables import runs


def new_run_id() -> str:
    """Twelve hexadecimal digits that no other run has."""
    return uuid.uuid4().hex[:12]


@contextmanager
def recorded_run(
    database: Database, command: str, date: dt.date, code_version: str, run_id: str | None = None
) -> Iterator[dict[str, object]]:
    """A row of `runs` from start to end: running, then done or failed.

    Yields the summary to fill; its `feature_version`, if any, also goes into that column, and what
    failed goes in as `error`. Whoever calls holds the lock of the database (sql/lock.py), so rows
    that still say running are of processes that are gone: they become killed.
    """
    run_id, summary = run_id or new_run_id(), dict[str, object]()
    with database.engine.begin() as connection:
        connection.execute(
            sa.update(runs).where(runs.c.status == "running").values(status="killed")
        )
        connection.execute(
            sa.insert(runs).values(
                run_id=run_id,
                command=command,
                date=date,
                code_version=code_version,
                started_at=_now(),
                status="running",
            )
        )
    try:
        yield summary
    except BaseException as error:
        summary["error"] = masked(in_one_line(error), database.url)
        with suppress(sa.exc.SQLAlchemyError, OSError):  # the first error is the one to be seen
            _ended(database, run_id, "failed", summary)
        raise
    _ended(database, run_id, "done", summary)


def _ended(database: Database, run_id: str, status: str, summary: dict[str, object]) -> None:
    with database.engine.begin() as connection:
        connection.execute(
            sa.update(runs)
            .where(runs.c.run_id == run_id)
            .values(
                finished_at=_now(),
                status=status,
                feature_version=summary.get("feature_version"),
                summary=json.dumps(summary, default=str),
            )
        )


def last_summary(database: Database, key: str) -> object:
    """The newest value under a key among the summaries of finished runs.

    Raises ValueError where no finished run has one.
    """
    query = (
        sa.select(runs.c.summary).where(runs.c.status == "done").order_by(runs.c.started_at.desc())
    )
    with database.engine.connect() as connection:
        for (text,) in connection.execute(query):
            if (value := json.loads(text or "{}").get(key)) is not None:
                return value
    raise ValueError(f"No finished run knows a {key}; run `related-pins daily` first.")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
