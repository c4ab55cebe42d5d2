"""Kills the daily job at random moments until it is done, and compares what is left.

    python -m tests.kill_harness --each 50

A small simulated sample goes through the job once undisturbed: the reference. Then homes are filled
by jobs that are killed with SIGKILL, one after the other, each at a random moment of a step, until
a last one is let through; and so on until each step was killed in so often. What was finished
before a kill must still be there, untouched, after what follows; at the end all tables and files
must be those of the reference. Detector and embedder are replaced by `tests.quick_visuals`, shards
are small, arms are four; everything else is what runs every day.

With `--stop-server` the database is one on a PostgreSQL server of the harness's own, and it is the
server that is stopped (immediately, as when its machine goes down) and started again; the job must
then end by itself, with a sentence that says so.
"""

import argparse
import multiprocessing as mp
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa

from experiments.world.sample import write_sample
from features.pairs.shards import PairWork
from features.pairs.store import STEP
from sql.database import Database, open_database
from tests.home_state import State, differences, state
from tests.postgres import Server, new_server

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
END = "end"
WENT_AWAY = "same command again"
KEPT = ("whole_image", "targeted", "oracle", "whole_image_aa")
WORKERS = mp.get_context("forkserver")
WORKERS.set_forkserver_preload(["tests.kill_harness", "tests.quick_visuals", "related_pins",
                                "experiments.experiment", "experiments.report.page",
                                "experiments.summary", "ranking.ranking", "features.daily",
                                "alembic.command"])  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a job reads and writes."""

    source: Path
    home: Path
    url: str

    @property
    def database(self) -> Database:
        return open_database(self.url)


class Told(NamedTuple):
    """A step that began, when, and the piece of work that it is about where it is one."""

    step: str
    at: float
    piece: str = ""


@dataclass
class Outcome:
    """What the kills hit (the kill's step -> kills), and what went wrong, one sentence each."""

    hit: Counter[str] = field(default_factory=Counter)
    homes: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return sum(self.hit.values())

    def lacking(self, each: int) -> list[str]:
        """Steps that were not killed in so often, each as often as is lacking."""
        return [step for step in STEPS for _ in range(each - self.hit[step])]


def work(place: Place, told: Connection) -> None:
    """The daily job in this process; tells each step as it begins, and the end."""
    import sys

    import features.pairs.store
    import features.visuals.store
    import related_pins
    from experiments.arms import ARMS
    from tests.quick_visuals import quick_extractor

    for arm in [arm for arm in ARMS if arm not in KEPT]:
        del ARMS[arm]
    features.visuals.store.SHARD, features.pairs.store.PAIRS_AT_A_TIME = 16, 300
    for step, name in STEPS.items():
        owner_name, function = name.rsplit(".", 1)
        owner = resolve_name(owner_name)
        setattr(owner, function, _telling(told, step, getattr(owner, function)))
    related_pins.visual_extractor = lambda *_: quick_extractor()
    place.home.mkdir(parents=True, exist_ok=True)
    output = (place.home.parent / f"{place.home.name}.log").open("a")
    sys.stdout = sys.stderr = output
    sys.argv = ["related-pins", "daily", "--source", str(place.source), "--date", DATE,
                "--home", str(place.home), "--db", place.url]  # fmt: skip
    try:
        related_pins.main()
    except SystemExit as ended:
        if ended.code:
            raise
    told.send(Told(END, time.monotonic()))


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
    any more; or else the server is stopped then, and started again once the job has ended.
    RuntimeError where it fails by itself.
    """
    order = list(STEPS)
    later = order[order.index(step) :] if step else []
    hears, told = WORKERS.Pipe(duplex=False)
    job = WORKERS.Process(target=work, args=(place, told))
    job.start()
    told.close()
    heard, kill_at = list[Told](), None
    try:
        while kill_at is None or hears.poll(max(0.0, kill_at - time.monotonic())):
            heard.append(hears.recv())
            if kill_at is None and heard[-1].step in later:
                kill_at = heard[-1].at + delay
        job.kill() if server is None else server.stop()
        while True:
            heard.append(hears.recv())
    except EOFError:
        job.join()
    if stopped := server is not None and not server.is_running:
        server.start()
    if job.exitcode not in (0, -9) and not (stopped and WENT_AWAY in _last_line(place)):
        where = heard[-1].step if heard else "the start"
        how = f"the job failed in {where}, exit code {job.exitcode}"
        raise RuntimeError(f"{how}: {_last_line(place)}")
    return heard


def _last_line(place: Place) -> str:
    log = place.home.parent / f"{place.home.name}.log"
    return (log.read_text().strip().splitlines() or [""])[-1]


def durations(heard: list[Told]) -> dict[str, float]:
    """Seconds of each step of an undisturbed job."""
    seconds: Counter[str] = Counter()
    for begun, next_begun in pairwise(heard):
        seconds[begun.step] += next_begun.at - begun.at  # type: ignore[assignment]
    return dict(seconds)


def finished(place: Place) -> dict[tuple[str, str, str], tuple[object, int | None]]:
    """Finished pieces of work -> when each was finished, and the time stamp of its file."""
    database = place.database
    with database.engine.connect() as connection:
        if not sa.inspect(connection).has_table("manifest"):
            return {}
    rows = database.read(
        "SELECT * FROM manifest WHERE step NOT IN ('feature_version', 'day')"
    ).to_pylist()
    return {
        (row["step"], row["piece"], row["fingerprint"]): (row["finished_at"], _stamp(place, row))
        for row in rows
        if row["step"] != "ingest" or "/" in row["piece"]
    }


def _stamp(place: Place, row: dict[str, Any]) -> int | None:
    return (place.home / row["path"]).stat().st_mtime_ns if row["path"] else None


def lost(before: dict[Any, Any], after: dict[Any, Any]) -> Iterator[str]:
    """One sentence for each finished piece of work that was made again; a pair shard goes when it
    is published."""
    for piece, when in before.items():
        published = piece[0] == STEP and piece not in after
        if after.get(piece) != when and not published:
            yield f"{' '.join(piece)} was finished, and made again"


def made_again(before: dict[Any, Any], heard: list[Told]) -> Iterator[str]:
    """One sentence for each pair shard that was finished, and made again."""
    finished = {name for step, path, name in before if step == STEP}
    for told in heard:
        if told.piece.rpartition("/")[2] in finished:
            yield f"the pair shard {told.piece} was finished, and made again"


def fill(
    place: Place, targets: list[str], seconds: dict[str, float], reference: State,
    rng: np.random.Generator, outcome: Outcome, server: Server | None = None,
) -> None:  # fmt: skip
    """Fills one home by jobs that are killed once in each of the steps, then by one that is not,
    unless one came to its end before it was killed.
    """
    outcome.homes += 1
    step, done = "start", finished(place)
    for target in [*targets, None]:
        delay = rng.uniform(0, seconds[target]) if target else 0.0
        try:
            heard = run_job(place, target, delay, server)
        except RuntimeError as error:
            outcome.problems.append((step, str(error)))
            return
        now = finished(place)
        outcome.problems += [(step, what) for what in (*lost(done, now), *made_again(done, heard))]
        step, done = heard[-1].step if heard else "start", now
        if step == END:
            break
        outcome.hit[step] += 1
    assert step == END
    outcome.problems += [
        (step, what) for what in differences(state(place.database, place.home), reference)
    ]


def schedule(deck: list[str], rng: np.random.Generator) -> Iterator[list[str]]:
    """The steps in the deck dealt to homes, 1 to 24 to each, in the order in which they come."""
    rng.shuffle(deck)
    order = list(STEPS)
    while deck:
        size = int(rng.integers(1, 25))
        part, deck = deck[:size], deck[size:]
        yield sorted(part, key=order.index)


def undisturbed(folder: Path, server: str | None = None) -> tuple[State, dict[str, float]]:
    """What a job leaves that nobody kills, and the seconds of its steps; writes the sample first.

    The database is SQLite, or one on a PostgreSQL server.
    """
    write_sample(folder / "sample", pins=100, requests=1_000, users=200, crops=150)
    place = place_of(folder, "reference", server)
    heard = run_job(place)
    return state(place.database, place.home), durations(heard)


def harness(
    folder: Path, each: int, seed: int, url: str | None = None, server: Server | None = None
) -> Outcome:
    """What became of at least so many kills in each step, under `folder`; or of so many stops of
    the server."""
    rng, outcome = np.random.default_rng(seed), Outcome()
    reference, seconds = undisturbed(folder, url)
    while lacking := outcome.lacking(each):
        for targets in schedule(lacking, rng):
            place = place_of(folder, f"home{outcome.homes + 1}", url)
            n_known = len(outcome.problems)
            fill(place, targets, seconds, reference, rng, outcome, server)
            for step, problem in outcome.problems[n_known:]:
                print(f"after one in {step}: {problem}", flush=True)
            shutil.rmtree(place.home)
            done = f"{outcome.kills} kills, {len(outcome.problems)} problems"
            steps = ", ".join(f"{step} {outcome.hit[step]}" for step in STEPS)
            print(f"home {outcome.homes}: {done} ({steps})", flush=True)
    return outcome


def place_of(folder: Path, name: str, server: str | None) -> Place:
    """A home without anything in it, and its database."""
    home = folder / name
    if server is None:
        return Place(folder / "sample", home, f"sqlite:///{home / 'related_pins.db'}")
    admin = sa.create_engine(sa.make_url(server).set(drivername="postgresql+psycopg"))
    with admin.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS kill_{name}")
        connection.exec_driver_sql(f"CREATE DATABASE kill_{name}")
    admin.dispose()
    url = sa.make_url(server).set(database=f"kill_{name}")
    return Place(folder / "sample", home, url.render_as_string(hide_password=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=5, help="Kills in every step.")
    parser.add_argument("--seed", type=int, default=20261115)
    parser.add_argument("--server", help="postgresql://USER@HOST/NAME, in place of SQLite")
    parser.add_argument("--stop-server", action="store_true", help="Stop a server, not the job.")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="related_pins_kill_", ignore_cleanup_errors=True)
        )
        server = stack.enter_context(new_server()) if options.stop_server else None
        url = server.url if server else options.server
        outcome = harness(Path(folder), options.each, options.seed, url, server)
    wrong = Counter(step for step, _ in outcome.problems)
    what = "stops" if options.stop_server else "kills"
    print(f"{'step':16} {what:>6} {'problems after':>15}")
    for step in ("start", *STEPS):
        print(f"{step:16} {outcome.hit[step]:6} {wrong[step]:15}")
    print(f"{outcome.kills} {what} in {outcome.homes} homes, {len(outcome.problems)} problems")
    raise SystemExit(bool(outcome.problems))


if __name__ == "__main__":
    main()
