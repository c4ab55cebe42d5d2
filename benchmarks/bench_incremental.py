"""What a day costs when little is new: seconds of visuals and pairs by the share of new pins.

    python benchmarks/bench_incremental.py [--source FOLDER] [--pins 1000] [--visuals HOME]

From FOLDER (the input contract; a simulated sample where none is given) as many query pins are
taken as need --pins pins with their candidates, so that a pin has the pairs it has there. One home
gets 74 % of the pins from empty, the same again, then 20, 5 and 1 % of the pins and their pairs,
which nobody has cropped yet, then one more day of the log. At last all rows of pairs are deleted
and made again: the full day, what a user would otherwise do every day. A line through the
seconds by the number of changed pairs gives the fixed cost, and that of a pair.

Seconds of CPU do not count waiting for other work on the machine; seconds of the clock do. With
--visuals images are looked up in the shards of a finished home and not described, so that only the
seconds of pairs mean anything.
"""

import argparse
import datetime as dt
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from machine import machine

from features.daily import refresh_pairs, refresh_visuals
from features.images.images import Image, load_image
from features.options import visual_extractor
from features.visuals.shards import read_shard, shards_under
from features.visuals.visuals import PinVisual, VisualExtractor
from sql.database import Database, open_database
from sql.tables import (
    candidates,
    crops,
    manifest,
    object_interest,
    pair_features,
    pair_interest,
    pins,
)

SHARES = (0.01, 0.05, 0.2)


@dataclass(frozen=True)
class Corpus:
    """Pins, candidate pairs and crops, with the columns of their tables."""

    pins: pd.DataFrame
    candidates: pd.DataFrame
    crops: pd.DataFrame

    def without(self, gone: pd.Index) -> "Corpus":
        """Without these pins, their pairs and their crops."""
        left = ~self.candidates[["query_pin_id", "candidate_pin_id"]].isin(gone).any(axis=1)
        return Corpus(
            self.pins[~self.pins["pin_id"].isin(gone)],
            self.candidates[left],
            self.crops[~self.crops["pin_id"].isin(gone)],
        )

    def write(self, database: Database) -> None:
        for table, rows in ((pins, self.pins), (candidates, self.candidates), (crops, self.crops)):
            database.replace(table, pa.Table.from_pandas(rows, preserve_index=False))


def read_corpus(source: Path, n_pins: int) -> Corpus:
    """The first query pins with all of their candidates, together about n_pins pins."""
    pairs = pd.read_parquet(source / "candidates.parquet").drop_duplicates(
        ["query_pin_id", "candidate_pin_id"]
    )
    there = pd.read_parquet(source / "pins.parquet").drop_duplicates("pin_id").dropna()
    pairs = pairs[pairs["query_pin_id"].isin(there["pin_id"])]
    pairs = pairs[pairs["candidate_pin_id"].isin(there["pin_id"])].sort_values("query_pin_id")
    seen = pd.unique(pairs[["query_pin_id", "candidate_pin_id"]].to_numpy().ravel())[:n_pins]
    known = pairs[["query_pin_id", "candidate_pin_id"]].isin(seen).all(axis=1)
    cropped = pd.read_parquet(source / "crops.parquet").dropna().drop_duplicates("crop_id")
    cropped = cropped[cropped["pin_id"].isin(seen)]
    cropped["cropped_at"] = pd.to_datetime(cropped["cropped_at"], utc=True).dt.tz_localize(None)
    return Corpus(
        there[there["pin_id"].isin(seen)].drop(columns="created_at"),
        pairs[known],
        cropped.assign(date=cropped["cropped_at"].dt.date),
    )


class Described:
    """An extractor, as the daily job uses it, that finds every visual in a home's shards."""

    feature_version, projection = "described", None

    def __init__(self, home: Path) -> None:
        shards = shards_under(home / "visuals")
        self.visuals = {v.content_hash: v for shard in shards for v in read_shard(shard)}

    def extract(self, images: Sequence[Image]) -> list[PinVisual]:
        return [self.visuals[image.content_hash] for image in images]


@dataclass(frozen=True)
class Took:
    """Rows that came, and seconds of CPU and of the clock."""

    rows: int
    busy: float
    seconds: float


def took(step: Callable[[], int]) -> Took:
    seconds, busy = time.perf_counter(), time.process_time()
    rows = step()
    return Took(rows, time.process_time() - busy, time.perf_counter() - seconds)


@dataclass(frozen=True)
class Bench:
    """A home, and where its images come from."""

    database: Database
    source: Path
    home: Path
    extractor: VisualExtractor

    def visuals(self, day: dt.date) -> int:
        found = refresh_visuals(self.database, self.source, self.home, self.extractor, day)
        return found.described

    def pairs(self, days: list[dt.date]) -> int:
        made = refresh_pairs(self.database, self.home, self.extractor.feature_version, days)
        return made.pairs + made.interest

    def run(self, name: str, corpus: Corpus, days: list[dt.date]) -> Took:
        """Prints what a day costs; what its pairs cost."""
        corpus.write(self.database)
        visuals = took(lambda: self.visuals(days[-1]))
        pairs = took(lambda: self.pairs(days))
        show(name, visuals, pairs)
        return pairs

    def full(self, days: list[dt.date]) -> Took:
        """As run, for pairs of which nothing is there."""
        with self.database.engine.begin() as connection:
            for table in (pair_features, pair_interest, object_interest):
                connection.execute(sa.delete(table))
            connection.execute(sa.delete(manifest).where(manifest.c.step != "visuals"))
        pairs = took(lambda: self.pairs(days))
        show("all pairs anew", None, pairs)
        return pairs


def show(name: str, visuals: Took | None, pairs: Took) -> None:
    described = f"{visuals.rows:7} {visuals.busy:8.2f}" if visuals else f"{'':16}"
    load = os.getloadavg()[0]
    print(f"{name:16} {described} {pairs.rows:9} {pairs.busy:8.2f} {pairs.seconds:8.2f} "
          f"{load:6.1f}", flush=True)  # fmt: skip


def measure(source: Path, n_pins: int, scratch: Path, extractor: VisualExtractor) -> None:
    whole = read_corpus(source, n_pins)
    days = sorted(whole.crops["date"].unique())
    names = np.random.default_rng(1).permutation(whole.pins["pin_id"].to_numpy())
    ends = np.cumsum([round(share * len(names)) for share in SHARES])
    late = whole.crops["date"] == days[-1]
    quiet = replace(whole, crops=whole.crops[late | ~whole.crops["pin_id"].isin(names[: ends[-1]])])
    bench = Bench(open_database(scratch / "bench.db"), source, scratch / "home", extractor)
    bench.database.upgrade()
    extractor.extract([load_image(source / image) for image in whole.pins["image"].iloc[:16]])
    print(
        f"{len(names)} pins, {len(whole.candidates)} pairs, {len(days)} days of crops\n"
        f"{'':16} {'images':>7} {'CPU s':>8} {'rows':>9} {'CPU s':>8} {'seconds':>8} {'load':>6}"
    )
    few = quiet.without(pd.Index(names[: ends[-1]]))
    bench.run("74 % from empty", few, days[:-1])
    n_pairs, costs = [0], [bench.run("the same again", few, days[:-1])]
    for share, start in zip(reversed(SHARES), [*reversed(ends[:-1]), 0], strict=True):
        more = quiet.without(pd.Index(names[:start]))
        n_pairs.append(len(more.candidates) - len(few.candidates))
        costs.append(bench.run(f"{share:.0%} new pins", more, days[:-1]))
        few = more
    full = bench.full(days[:-1])
    bench.run("one more day", quiet, days)
    report(n_pairs, costs, len(whole.candidates), full)


def report(n_pairs: Sequence[int], costs: Sequence[Took], n_all: int, full: Took) -> None:
    """The share of the full day, and the line through the costs."""
    for name, of in (("CPU", attrgetter("busy")), ("the clock", attrgetter("seconds"))):
        each, fixed = np.polyfit(n_pairs, [of(cost) for cost in costs], 1)
        print(f"seconds of {name}: {fixed:.2f} fixed, {1e6 * each:.0f} us for each changed pair; "
              f"{1e6 * of(full) / n_all:.0f} us for each of all pairs anew")  # fmt: skip
        for n, cost in zip(n_pairs, costs, strict=True):
            print(f"  {n:7} pairs changed, {n / n_all:6.2%} of all: {of(cost):6.2f} s, "
                  f"{of(cost) / of(full):6.2%} of the full day")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", type=Path)
    parser.add_argument("--pins", type=int, default=1000)
    parser.add_argument("--visuals", type=Path, help="Home with the visuals of all images.")
    options = parser.parse_args()
    print(machine("torch", "torchvision", "pyarrow", "pandas"))
    with tempfile.TemporaryDirectory() as scratch:
        source = options.source or drawn(Path(scratch) / "sample")
        known: Any = Described(options.visuals) if options.visuals else None
        extractor = known or visual_extractor("bundled", "lite0", "roi_align")
        measure(source, options.pins, Path(scratch), extractor)


def drawn(folder: Path) -> Path:
    """A simulated sample, where no source is given."""
    from experiments.world.sample import write_sample

    write_sample(folder, seed=7)
    return folder


if __name__ == "__main__":
    main()
