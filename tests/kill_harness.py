"""Kills the daily job at random moments until it is done, and compares what is left.

    python -m tests.kill_harness --kills 50

A small simulated sample goes through the job once undisturbed: the reference. Then homes are filled
by jobs that are killed with SIGKILL, one after the other, each at a random moment of a step, until
a last one is let through. What was finished before a kill must still be there, untouched, after
what follows; at the end all tables and files must be those of the reference. Detector and embedder
are replaced by `tests.quick_visuals`, shards are small, arms are four; everything else is what runs
every day.
"""

import argparse
import multiprocessing as mp
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from experiments.world.sample import write_sample
from sql.database import Database, open_database
from tests.home_state import State, differences, state

DATE = "2026-11-15"
STEPS = {
    "upgrade": "sql.schema.upgrade",
    "ingest": "related_pins.ingest_step",
    "visuals": "features.daily.refresh_visuals",
    "true visuals": "features.daily.refresh_true_visuals",
    "pairs": "features.daily.refresh_pairs",
    "rank": "related_pins.rank_step",
    "experiment": "related_pins.experiment_step",
    "report": "related_pins.report_step",
}
END = "end"
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


@dataclass
class Outcome:
    """What the kills hit (the kill's step -> kills), and what went wrong, one sentence each."""

    hit: Counter[str] = field(default_factory=Counter)
    homes: int = 0
    finished_early: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return sum(self.hit.values())


def work(place: Place, told: Connection) -> None:
    """The daily job in this process; tells each step as it begins, and the end."""
    import sys

    import features.pair_store
    import features.store
    import related_pins
    from experiments.arms import ARMS
    from tests.quick_visuals import quick_extractor

    for arm in [arm for arm in ARMS if arm not in KEPT]:
        del ARMS[arm]
    features.store.SHARD, features.pair_store.PAIRS_AT_A_TIME = 16, 300
    for step, name in STEPS.items():
        module_name, function = name.rsplit(".", 1)
        module = import_module(module_name)
        setattr(module, function, _telling(told, step, getattr(module, function)))
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
    told.send((END, time.monotonic()))


def _telling(told: Connection, step: str, function: Any) -> Any:
    def tell(*arguments: Any, **named: Any) -> Any:
        told.send((step, time.monotonic()))
        return function(*arguments, **named)

    return tell


def run_job(place: Place, step: str | None = None, delay: float = 0) -> list[tuple[str, float]]:
    """(step, when it began) of each step of a job; the last is END, unless it was killed.

    The job is killed `delay` seconds after the step began. RuntimeError where it fails by itself.
    """
    hears, told = WORKERS.Pipe(duplex=False)
    job = WORKERS.Process(target=work, args=(place, told))
    job.start()
    told.close()
    heard, kill_at = list[tuple[str, float]](), None
    try:
        while kill_at is None or hears.poll(max(0.0, kill_at - time.monotonic())):
            heard.append(hears.recv())
            if kill_at is None and heard[-1][0] == step:
                kill_at = heard[-1][1] + delay
        job.kill()
        while True:
            heard.append(hears.recv())
    except EOFError:
        job.join()
    if job.exitcode not in (0, -9):
        log = (place.home.parent / f"{place.home.name}.log").read_text().strip()
        last = log.splitlines()[-1]
        raise RuntimeError(f"the job failed in {heard[-1][0] if heard else 'the start'}: {last}")
    return heard


def durations(heard: list[tuple[str, float]]) -> dict[str, float]:
    """Seconds of each step of an undisturbed job."""
    seconds: Counter[str] = Counter()
    for (step, begun), (_, ended) in pairwise(heard):
        seconds[step] += ended - begun  # type: ignore[assignment]
    return dict(seconds)


def finished(place: Place) -> dict[tuple[str, str, str], tuple[object, int | None]]:
    """Finished pieces of work -> when each was finished, and the time stamp of its file."""
    database = place.database
    with database.engine.connect() as connection:
        if not sa.inspect(connection).has_table("manifest"):
            return {}
    rows = database.read("SELECT * FROM manifest WHERE step <> 'feature_version'").to_pylist()
    return {
        (row["step"], row["piece"], row["fingerprint"]): (row["finished_at"], _stamp(place, row))
        for row in rows
        if row["step"] != "ingest" or "/" in row["piece"]
    }


def _stamp(place: Place, row: dict[str, Any]) -> int | None:
    return (place.home / row["path"]).stat().st_mtime_ns if row["path"] else None


def lost(before: dict[Any, Any], after: dict[Any, Any]) -> Iterator[str]:
    """One sentence for each finished piece of work that was made again."""
    for piece, when in before.items():
        if after.get(piece) != when:
            yield f"{' '.join(piece)} was finished, and made again"


def fill(
    place: Place, targets: list[str], seconds: dict[str, float], reference: State,
    rng: np.random.Generator, outcome: Outcome,
) -> None:  # fmt: skip
    """Fills one home by jobs that are killed once in each of the steps, then by one that is not."""
    outcome.homes += 1
    step, done, ended = "start", finished(place), False
    for target in [*targets, None]:
        delay = rng.uniform(0, seconds[target]) if target else 0.0
        try:
            heard = run_job(place, target, delay)
        except RuntimeError as error:
            outcome.problems.append((step, str(error)))
            return
        now = finished(place)
        outcome.problems += [(step, what) for what in lost(done, now)]
        step, done = heard[-1][0] if heard else "start", now
        if step == END:
            outcome.finished_early += target is not None
            ended = True
        else:
            outcome.hit[step] += 1
    assert ended
    outcome.problems += [
        (step, what) for what in differences(state(place.database, place.home), reference)
    ]


def schedule(kills: int, rng: np.random.Generator) -> Iterator[list[str]]:
    """Steps to be killed in, by home: each step as often as the others, 1 to 12 kills a home."""
    deck = [step for step, _ in zip(list(STEPS) * kills, range(kills), strict=False)]
    rng.shuffle(deck)
    order = list(STEPS)
    while deck:
        size = int(rng.integers(1, 13))
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


def harness(folder: Path, kills: int, seed: int, server: str | None = None) -> Outcome:
    """What became of at least that many kills, under `folder`."""
    rng, outcome = np.random.default_rng(seed), Outcome()
    reference, seconds = undisturbed(folder, server)
    while outcome.kills < kills:
        for targets in schedule(kills - outcome.kills, rng):
            place = place_of(folder, f"home{outcome.homes + 1}", server)
            fill(place, targets, seconds, reference, rng, outcome)
            done = f"{outcome.kills} kills, {len(outcome.problems)} problems"
            print(f"home {outcome.homes}: {done}", flush=True)
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
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=20261115)
    parser.add_argument("--server", help="postgresql://USER@HOST/NAME, in place of SQLite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(
        prefix="related_pins_kill_", ignore_cleanup_errors=True
    ) as folder:
        outcome = harness(Path(folder), options.kills, options.seed, options.server)
    wrong = Counter(step for step, _ in outcome.problems)
    print(f"{'step killed in':16} {'kills':>6} {'problems after':>15}")
    for step in ("start", *STEPS):
        print(f"{step:16} {outcome.hit[step]:6} {wrong[step]:15}")
    print(f"{outcome.kills} kills in {outcome.homes} homes, {len(outcome.problems)} problems")
    for step, problem in outcome.problems:
        print(f"after a kill in {step}: {problem}")
    raise SystemExit(bool(outcome.problems))


if __name__ == "__main__":
    main()
