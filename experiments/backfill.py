"""Backfill: past days, each as the daily job makes it, in several processes.

A day is made from the log as it was known at its end, so every day has a home of its own while it
is made: HOME/backfill/<day>, with the visuals of the home it belongs to and a database that holds
the log up to that day. What is published is taken over into the home in the order of the days,
after the quality gates, which look at the days before. So the result depends neither on the number
of processes nor on which day was ready first, and the home's own log and features stay as they are.
"""

import datetime as dt
import multiprocessing as mp
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from experiments.history import past_runs, record, recorded
from sql.database import Database, open_database
from sql.home import BACKFILL
from sql.tables import (
    arm_daily_engagement,
    experiment_checks,
    experiment_lift,
    feature_importances,
    forgotten,
    manifest,
    models,
    quality_gates,
    ranking_metrics,
    rankings,
    traffic_metrics,
)

PUBLISHED = (
    models, feature_importances, rankings, ranking_metrics, experiment_lift, arm_daily_engagement,
    experiment_checks, traffic_metrics, quality_gates,
)  # fmt: skip
MADE = ("model", "rankings", "ranking_metrics", "experiment")
FILES = ("models", "reports")
SHARED = ("visuals", "remote", "gates.toml")
Made = TypeVar("Made")


def days_between(first: dt.date, last: dt.date) -> list[dt.date]:
    """The days from `first` to `last`. Raises ValueError where `first` is after `last`.

    >>> [f"{day:%d}" for day in days_between(dt.date(2026, 10, 31), dt.date(2026, 11, 2))]
    ['31', '01', '02']
    """
    if first > last:
        raise ValueError(f"The first day, {first}, is after the last, {last}; exchange them.")
    return [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]


def in_order(
    days: Sequence[dt.date],
    make: Callable[[dt.date], Made],
    publish: Callable[[dt.date, Callable[[], Made]], None],
    jobs: int,
) -> None:
    """Calls `publish` for each day in order, with a function that waits for what `make` returns.

    Days are made in up to `jobs` processes, at most `2 * jobs` of them before the one that is to
    be published. `make` and what it returns are pickled; an error of it comes out of the function.
    An error of `publish` ends it all, and the processes end with this one, even when it is killed.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    before, todo = set(mp.active_children()), deque(days)
    with ProcessPoolExecutor(jobs, mp.get_context("spawn"), _end_with_parent) as pool:
        ahead: deque[tuple[dt.date, Future[Made]]] = deque()
        try:
            while todo or ahead:
                while todo and len(ahead) < 2 * jobs:
                    ahead.append((todo[0], pool.submit(make, todo.popleft())))
                day, future = ahead.popleft()
                publish(day, future.result)
        except BaseException:
            for process in set(mp.active_children()) - before:
                process.terminate()
            raise


def new_home(database: Database, home: Path, day: dt.date) -> tuple[Database, Path]:
    """(database, folder) of an empty home for a day, which shares the visuals of `home`."""
    folder = home / BACKFILL / str(day)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    own, _ = home_of(home, day)
    own.upgrade()
    (home / "visuals").mkdir(exist_ok=True)
    for name in SHARED:
        if (home / name).exists():
            (folder / name).symlink_to((home / name).resolve())
    if (home / "contents").exists():  # what is known of the files; the day adds to its own
        shutil.copytree(home / "contents", folder / "contents")
    _copy(database, own, manifest, manifest.c.step == "visuals")
    _copy(database, own, forgotten)
    return own, folder


def home_of(home: Path, day: dt.date) -> tuple[Database, Path]:
    """(database, folder) of the home that `new_home` made for a day."""
    folder = home / BACKFILL / str(day)
    return open_database(folder / "related_pins.db"), folder


def with_history(database: Database, own: Database, day: dt.date) -> None:
    """Gives a day's own database what the quality gates look at: what earlier days found."""
    for table in (quality_gates, ranking_metrics):
        _copy(database, own, table, table.c.date < day)


def take_over(own: Database, folder: Path, database: Database, home: Path, day: dt.date) -> None:
    """Publishes a day in the home: its files, its rows by date, its runs of plans, what is done.

    Killed and called again, it goes on; the caller marks the day as done afterwards.
    """
    with database.engine.begin() as connection:
        connection.execute(sa.delete(manifest).where(_of(day)))
    for name in FILES:
        for file in sorted((folder / name / str(day)).glob("*")):
            (home / name / str(day)).mkdir(parents=True, exist_ok=True)
            file.replace(home / name / str(day) / file.name)
    for table in PUBLISHED:
        database.replace(table, own.read(sa.select(table).where(table.c.date == day)), date=day)
    for run in reversed(past_runs(own)):
        record(database, recorded(own, run["run_id"]))
    _copy(own, database, manifest, _of(day))
    shutil.rmtree(folder)


def _of(day: dt.date) -> sa.ColumnElement[bool]:
    """The rows of the manifest that say what of a day is made."""
    piece = manifest.c.piece
    return manifest.c.step.in_(MADE) & ((piece == str(day)) | piece.startswith(f"{day}/"))


def _copy(
    source: Database, target: Database, table: sa.Table, *where: sa.ColumnElement[bool]
) -> None:
    target.append(table, source.read(sa.select(table).where(*where)))


def _end_with_parent() -> None:
    parent = mp.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
