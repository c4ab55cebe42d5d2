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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from daily import (
    Job,
    code_version,
    day_state,
    experiment_step,
    features_step,
    ingest_step,
    input_gates_step,
    rank_step,
    ranking_gates_step,
    report_step,
    run_day,
    visuals_step,
)
from experiments.history import past_runs, record, recorded
from features.engine.engine import Engine, Loop
from features.options import visual_extractor
from sql.database import Database, open_database
from sql.home import BACKFILL
from sql.logs import logged
from sql.runs import recorded_run
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

if TYPE_CHECKING:
    from features.visuals.store import Progress
    from features.visuals.visuals import VisualExtractor

PUBLISHED = (
    models, feature_importances, rankings, ranking_metrics, experiment_lift, arm_daily_engagement,
    experiment_checks, traffic_metrics, quality_gates,
)  # fmt: skip
MADE = ("model", "rankings", "ranking_metrics", "experiment")
FILES = ("models", "reports")
SHARED = ("visuals", "remote", "gates.toml")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Backfill:
    """Past days to be done: from where, into which home and database, and how; `run_ids` by day.

    It is pickled for the processes that make days, so `extractor` is a function of a module or an
    Extractor.
    """

    source: Path
    home: Path
    url: str
    holdout_days: int
    extractor: Callable[[], "VisualExtractor"]
    run_ids: Mapping[dt.date, str]
    skip_gates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Extractor:
    """The extractor that the options name; it is loaded when this is called."""

    detector: str
    embedder: str
    pooling: str
    projection: str

    def __call__(self) -> "VisualExtractor":
        return visual_extractor(self.detector, self.embedder, self.pooling, self.projection)


@cache
def loaded(extractor: Callable[[], "VisualExtractor"]) -> "VisualExtractor":
    """The extractor, loaded once in a process."""
    return extractor()


def backfill_days(
    database: Database,
    work: Backfill,
    days: Sequence[dt.date],
    jobs: int,
    progress: "Progress",
    engine: Engine | None = None,
) -> dict[dt.date, dict[str, Any]]:
    """Does those of the days that are not done, in up to `jobs` processes; their summaries by day.

    The visuals of all of them are made first. Where the home's own log ends before the last day or
    on it, that day is done in the home itself, as the daily job does it, after the others.
    """
    extractor, last = loaded(work.extractor), days[-1]
    job = Job(database, work.home, last, work.holdout_days, progress, work.skip_gates,
              engine=engine or Loop())  # fmt: skip
    state = day_state(database, work.source, work.holdout_days, extractor.feature_version)
    todo = [day for day in days if not database.is_done("day", str(day), state)]
    newest = database.read("SELECT MAX(date) AS date FROM requests")["date"][0].as_py()
    at_the_end = newest is None or last >= newest
    if todo:
        visuals_step(job, work.source, extractor, ingest_first=at_the_end)
    past = [day for day in todo if day != last or not at_the_end]
    done: dict[dt.date, dict[str, Any]] = {}

    def publish(day: dt.date, made: Callable[[], dict[str, Any]]) -> None:
        progress("days", len(done), len(todo))
        with recorded_run(database, "daily", day, code_version(), work.run_ids[day]) as summary:
            summary |= publish_day(replace(job, day=day), made(), extractor)
            database.mark_done("day", str(day), state, 0)
            done[day] = summary

    in_order(past, partial(make_day, work), publish, min(jobs, max(len(past), 1)))
    if todo and todo[-1] not in past:
        progress("days", len(done), len(todo))
        with recorded_run(database, "daily", last, code_version(), work.run_ids[last]) as summary:
            summary |= run_day(job, work.source, lambda: extractor)
            done[last] = summary
    progress("days", len(todo), max(len(todo), 1))
    return done


def make_day(work: Backfill, day: dt.date) -> dict[str, Any]:
    """All of a day but for its gates, in a home of its own and mostly a process of its own."""
    extractor = loaded(work.extractor)
    with logged(work.home, "daily", work.run_ids[day], work.url):
        database, folder = new_home(open_database(work.url), work.home, day)
        job = Job(
            database, folder, day, work.holdout_days, lambda *_: None,
            feature_version=extractor.feature_version,
        )  # fmt: skip
        return {
            **ingest_step(job, work.source),
            **features_step(job, work.source, extractor, beside=True),
            **rank_step(job),
            **experiment_step(job),
            **report_step(job, work.source),
        }


def publish_day(job: Job, made: dict[str, Any], extractor: "VisualExtractor") -> dict[str, Any]:
    """Runs the gates of a day that was made in a home of its own, and takes it over."""
    own, folder = home_of(job.home, job.day)
    judged = replace(job, database=own, feature_version=extractor.feature_version)
    with_history(job.database, own, job.day)
    try:
        gates = {
            "input_gates": input_gates_step(judged, extractor),
            "ranking_gates": ranking_gates_step(replace(judged, home=folder)),
        }
    finally:
        found = own.read("SELECT * FROM quality_gates WHERE date = :date", date=job.day)
        job.database.replace(quality_gates, found, date=job.day)
    take_over(own, folder, job.database, job.home, job.day)
    report = job.home / "reports" / str(job.day) / "report.html"
    return made | gates | {"report": str(report)}


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
        with own.engine.begin() as connection:
            connection.execute(sa.delete(table).where(table.c.date < day))
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
