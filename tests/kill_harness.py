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

With `--backfill` it is a backfill of three days in two processes, the last day in the home itself.
In the step `day's process` one of the two is killed, and the backfill must end by itself. A day
that is done must stay as it is; the days that are not done may be made again.
"""

import argparse
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from backfill import MADE
from experiments.world.sample import write_sample
from features.pairs.store import STEP
from tests.home_state import State, differences
from tests.killed_job import BACKFILL_STEPS, END, STEPS, Place, Told, durations, run_job
from tests.postgres import Server, new_server


@dataclass
class Outcome:
    """What the kills hit (the kill's step -> kills), and what went wrong, one sentence each."""

    steps: list[str]
    hit: Counter[str] = field(default_factory=Counter)
    homes: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return sum(self.hit.values())

    def lacking(self, each: int) -> list[str]:
        """Steps that were not killed in so often, each as often as is lacking."""
        return [step for step in self.steps for _ in range(each - self.hit[step])]


def finished(place: Place) -> dict[tuple[str, str, str], tuple[object, int | None]]:
    """Finished pieces of work -> when each was finished, and the time stamp of its file. What a
    backfill has taken over of a day is finished when the day is.
    """
    database = place.database
    with database.engine.connect() as connection:
        if not sa.inspect(connection).has_table("manifest"):
            return {}
    rows = database.read("SELECT * FROM manifest WHERE step != 'feature_version'").to_pylist()
    days = {row["piece"] for row in rows if row["step"] == "day"}
    rows = [
        row for row in rows
        if (row["step"] != "day" if not place.backfill
            else row["step"] not in MADE or row["piece"].partition("/")[0] in days)
    ]  # fmt: skip
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
    outcome.problems += [(step, what) for what in differences(place.state, reference)]


def schedule(deck: list[str], order: list[str], rng: np.random.Generator) -> Iterator[list[str]]:
    """The steps in the deck dealt to homes, 1 to 24 to each, in the order in which they come."""
    rng.shuffle(deck)
    while deck:
        size = int(rng.integers(1, 25))
        part, deck = deck[:size], deck[size:]
        yield sorted(part, key=order.index)


def undisturbed(
    folder: Path, server: str | None = None, backfill: bool = False
) -> tuple[State, dict[str, float]]:
    """What a job leaves that nobody kills, and the seconds of its steps; writes the sample first.

    The database is SQLite, or one on a PostgreSQL server.
    """
    write_sample(folder / "sample", pins=100, requests=1_000, users=200, crops=150)
    place = place_of(folder, "reference", server, backfill)
    heard = run_job(place)
    return place.state, durations(heard)


def harness(
    folder: Path, each: int, seed: int, url: str | None = None, server: Server | None = None,
    backfill: bool = False,
) -> Outcome:  # fmt: skip
    """What became of at least so many kills in each step, under `folder`; or of so many stops of
    the server."""
    steps = list(BACKFILL_STEPS if backfill else STEPS)
    rng, outcome = np.random.default_rng(seed), Outcome(steps)
    reference, seconds = undisturbed(folder, url, backfill)
    while lacking := outcome.lacking(each):
        for targets in schedule(lacking, steps, rng):
            place = place_of(folder, f"home{outcome.homes + 1}", url, backfill)
            n_known = len(outcome.problems)
            fill(place, targets, seconds, reference, rng, outcome, server)
            for step, problem in outcome.problems[n_known:]:
                print(f"after one in {step}: {problem}", flush=True)
            shutil.rmtree(place.home)
            done = f"{outcome.kills} kills, {len(outcome.problems)} problems"
            by_step = ", ".join(f"{step} {outcome.hit[step]}" for step in steps)
            print(f"home {outcome.homes}: {done} ({by_step})", flush=True)
    return outcome


def place_of(folder: Path, name: str, server: str | None, backfill: bool = False) -> Place:
    """A home without anything in it, and its database."""
    home = folder / name
    if server is None:
        return Place(folder / "sample", home, f"sqlite:///{home / 'related_pins.db'}", backfill)
    admin = sa.create_engine(sa.make_url(server).set(drivername="postgresql+psycopg"))
    with admin.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS kill_{name}")
        connection.exec_driver_sql(f"CREATE DATABASE kill_{name}")
    admin.dispose()
    url = sa.make_url(server).set(database=f"kill_{name}")
    return Place(folder / "sample", home, url.render_as_string(hide_password=False), backfill)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=5, help="Kills in every step.")
    parser.add_argument("--seed", type=int, default=20261115)
    parser.add_argument("--server", help="postgresql://USER@HOST/NAME, in place of SQLite")
    parser.add_argument("--stop-server", action="store_true", help="Stop a server, not the job.")
    parser.add_argument("--backfill", action="store_true", help="Kill a backfill, not the job.")
    options = parser.parse_args()
    if options.backfill and options.stop_server:
        parser.error("a backfill is killed, its server is not stopped")
    with ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="related_pins_kill_", ignore_cleanup_errors=True)
        )
        server = stack.enter_context(new_server()) if options.stop_server else None
        url = server.url if server else options.server
        outcome = harness(Path(folder), options.each, options.seed, url, server, options.backfill)
    wrong = Counter(step for step, _ in outcome.problems)
    what = "stops" if options.stop_server else "kills"
    print(f"{'step':16} {what:>6} {'problems after':>15}")
    for step in ("start", *outcome.steps):
        print(f"{step:16} {outcome.hit[step]:6} {wrong[step]:15}")
    print(f"{outcome.kills} {what} in {outcome.homes} homes, {len(outcome.problems)} problems")
    raise SystemExit(bool(outcome.problems))


if __name__ == "__main__":
    main()
