"""A daily job or a backfill of a small sample, in a process of its own, killed in some step."""

import multiprocessing as mp
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

from features.pairs.shards import PairWork
from features.visuals.visuals import VisualExtractor
from sql.database import Database, open_database
from tests.home_state import SUMS, State, state
from tests.postgres import Server

DATE = "2026-11-15"
STEPS = {
    "upgrade": "sql.schema.upgrade",
    "ingest": "daily.ingest_step",
    "visuals": "features.daily.refresh_visuals",
    "true visuals": "features.daily.refresh_true_visuals",
    "interest": "features.daily.refresh_interest",
    "pair shards": "features.daily.write_pairs",
    "pairs published": "features.pairs.store.PairStore.publish",
    "rank": "daily.rank_step",
    "experiment": "daily.experiment_step",
    "report": "daily.report_step",
}
BACKFILL_STEPS = {
    "upgrade": "sql.schema.upgrade",
    "visuals": "backfill.visuals_step",
    "days made": "backfill.recorded_run",
    "day's process": "",
    "gates": "backfill.publish_day",
    "taken over": "backfill.take_over",
    "last day": "backfill.run_day",
}
CHILD = "day's process"
FIRST = "2026-11-13"
JOBS = 2
END = "end"
SAID = "same command again"
KEPT = ("whole_image", "targeted", "oracle", "whole_image_aa")
WORKERS = mp.get_context("forkserver")
WORKERS.set_forkserver_preload(["tests.killed_job", "tests.quick_visuals", "related_pins",
                                "experiments.experiment", "experiments.report.page",
                                "experiments.summary", "ranking.ranking", "features.daily",
                                "backfill", "alembic.command"])  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a job reads and writes, and whether it is a backfill."""

    source: Path
    home: Path
    url: str
    backfill: bool = False

    @property
    def database(self) -> Database:
        return open_database(self.url)

    @property
    def state(self) -> State:
        """What is there. The days of a backfill are made on SQLite and taken over by the server."""
        on_server = not self.database.is_sqlite
        return state(self.database, self.home, SUMS if self.backfill and on_server else ())

    @property
    def steps(self) -> dict[str, str]:
        return BACKFILL_STEPS if self.backfill else STEPS

    @property
    def words(self) -> list[str]:
        past = ["--from", FIRST, "--to", DATE, "--jobs", JOBS]
        small = ["--skip-gates", "rows", "--skip-gates", "ranking"]
        how = ["backfill", *past, *small] if self.backfill else ["daily", "--date", DATE]
        where = ["--source", self.source, "--home", self.home, "--db", self.url]
        return list(map(str, [*how, *where]))


class Told(NamedTuple):
    """A step that began, when, and the piece of work that it is about where it is one."""

    step: str
    at: float
    piece: str = ""


def work(place: Place, told: Connection) -> None:
    """The job in this process; tells each step as it begins, and the end."""
    import sys

    import backfill
    import related_pins

    quick()
    for step, name in place.steps.items():
        if name:
            owner_name, function = name.rsplit(".", 1)
            owner = resolve_name(owner_name)
            setattr(owner, function, _telling(told, step, getattr(owner, function)))
    related_pins.visual_extractor = lambda *_: quick()
    backfill.Extractor = lambda *_: quick  # type: ignore[assignment,misc]
    place.home.mkdir(parents=True, exist_ok=True)
    output = (place.home.parent / f"{place.home.name}.log").open("a")
    sys.stdout = sys.stderr = output
    sys.argv = ["related-pins", *place.words]
    try:
        related_pins.main()
    except SystemExit as ended:
        if ended.code:
            raise
    told.send(Told(END, time.monotonic()))


def quick() -> VisualExtractor:
    """The quick extractor, in a process that knows few arms and makes small shards."""
    import features.pairs.store
    import features.visuals.store
    from experiments.arms import ARMS
    from tests.quick_visuals import quick_extractor

    for arm in [arm for arm in ARMS if arm not in KEPT]:
        del ARMS[arm]
    features.visuals.store.SHARD, features.pairs.store.PAIRS_AT_A_TIME = 16, 300
    return quick_extractor()


def _telling(told: Connection, step: str, function: Any) -> Any:
    def tell(*arguments: Any, **named: Any) -> Any:
        work = arguments[0] if isinstance(arguments[0], PairWork) else None
        piece = f"{work.feature_version}/{work.name}" if work else ""
        told.send(Told(step, time.monotonic(), piece))
        return function(*arguments, **named)

    return tell


def run_job(
    place: Place, step: str | None = None, delay: float = 0, server: Server | None = None
) -> list[Told]:
    """Each step of a job as it began; the last is END, unless it was killed.

    The job is killed `delay` seconds after the step began, or a later one where that is not needed
    any more; or else one of its processes; or the server is stopped then, and started again once
    the job has ended. RuntimeError where it fails by itself.
    """
    order = list(place.steps)
    later = order[order.index(step) :] if step else []
    begins = "days made" if step == CHILD else step
    hears, told = WORKERS.Pipe(duplex=False)
    job = WORKERS.Process(target=work, args=(place, told))
    job.start()
    told.close()
    heard, kill_at, child = list[Told](), None, False
    try:
        while kill_at is None or hears.poll(max(0.0, kill_at - time.monotonic())):
            heard.append(hears.recv())
            if kill_at is None and heard[-1].step in (begins, *later):
                kill_at = heard[-1].at + delay
        if server is not None:
            server.stop()
        elif not (child := step == CHILD and heard[-1].step == begins and kill_child(job.pid)):
            job.kill()
        while True:
            heard.append(hears.recv())
    except EOFError:
        job.join()
    if stopped := server is not None and not server.is_running:
        server.start()
    if job.exitcode not in (0, -9) and not ((stopped or child) and SAID in _last_line(place)):
        where = heard[-1].step if heard else "the start"
        how = f"the job failed in {where}, exit code {job.exitcode}"
        raise RuntimeError(f"{how}: {_last_line(place)}")
    if child and heard[-1].step != END:
        heard.append(Told(CHILD, time.monotonic()))
    return heard


def kill_child(job: int | None) -> bool:
    """Kills one of the processes in which a job makes days; False where it has none."""
    for child in Path(f"/proc/{job}/task/{job}/children").read_text().split():
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(int(child), signal.SIGKILL)
            return True
    return False


def _last_line(place: Place) -> str:
    log = place.home.parent / f"{place.home.name}.log"
    return (log.read_text().strip().splitlines() or [""])[-1]


def durations(heard: list[Told]) -> dict[str, float]:
    """Seconds of each step of an undisturbed job."""
    seconds: Counter[str] = Counter()
    for begun, next_begun in pairwise(heard):
        seconds[begun.step] += next_begun.at - begun.at  # type: ignore[assignment]
    return {**seconds, CHILD: seconds["days made"]}
