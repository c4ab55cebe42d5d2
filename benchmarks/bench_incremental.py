"""What a day costs when little is new: seconds of visuals and pairs against those of the first day.

    python benchmarks/bench_incremental.py [--source FOLDER] [--pins 1000] [--visuals HOME]

From FOLDER (the input contract; a simulated sample where none is given) as many query pins are
taken as need --pins pins with their candidates, so that a pin has the pairs it has there. Four
runs in one home: all pins but 1 % from empty; the same again; with the 1 % and their pairs, which
nobody has cropped yet; then one more day of the log, with crops of the new pins. What a user would
otherwise do is the first run every day. With --visuals images are looked up in the shards of a
finished home and not described, so that only the seconds of pairs mean anything.
"""

import argparse
import datetime as dt
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from machine import machine

from features.daily import refresh_pairs, refresh_visuals
from features.images import Image, load_image
from features.options import visual_extractor
from features.shards import read_shard, shards_under
from features.visuals import PinVisual, VisualExtractor
from sql.database import Database, open_database
from sql.tables import candidates, crops, pins

SHARE_NEW = 0.01


@dataclass(frozen=True)
class Corpus:
    """Pins, candidate pairs and crops, with the columns of their tables."""

    pins: pd.DataFrame
    candidates: pd.DataFrame
    crops: pd.DataFrame

    def without(self, gone: pd.Index) -> "Corpus":
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


def day(
    database: Database, source: Path, home: Path, extractor: VisualExtractor, days: list[dt.date]
) -> Mapping[str, float]:
    """Runs the features of the days; seconds and counts by name."""
    start = time.perf_counter()
    visuals = refresh_visuals(database, source, home, extractor, days[-1])
    middle = time.perf_counter()
    pairs = refresh_pairs(database, home, extractor.feature_version, days)
    end = time.perf_counter()
    return {
        "described": visuals.described, "visuals": middle - start,
        "written": pairs.pairs + pairs.interest, "pairs": end - middle,
    }  # fmt: skip


def measure(source: Path, n_pins: int, scratch: Path, extractor: VisualExtractor) -> None:
    whole = read_corpus(source, n_pins)
    step = round(1 / SHARE_NEW)
    new = pd.Index(whole.pins["pin_id"].sort_values().iloc[step // 2 :: step])
    old = whole.without(new)
    days = sorted(whole.crops["date"].unique())
    of_new = whole.crops["pin_id"].isin(new)
    quiet = replace(whole, crops=whole.crops[~of_new])
    late = replace(whole, crops=whole.crops[~of_new | (whole.crops["date"] == days[-1])])
    database, home = open_database(scratch / "bench.db"), scratch / "home"
    database.upgrade()
    warm = [load_image(source / image) for image in old.pins["image"].iloc[:16]]
    extractor.extract(warm)
    n_new_pairs = len(whole.candidates) - len(old.candidates)
    print(f"{len(whole.pins)} pins, {len(whole.candidates)} pairs, {len(days)} days of crops; "
          f"new: {len(new)} pins, {n_new_pairs} pairs; load {os.getloadavg()[0]:.1f}")  # fmt: skip
    runs = {
        "from empty": (old, days[:-1]),
        "the same again": (old, days[:-1]),
        f"{SHARE_NEW:.0%} new pins": (quiet, days[:-1]),
        "one more day": (late, days),
    }
    print(f"{'':16} {'images':>7} {'visuals s':>10} {'of full':>8} "
          f"{'rows':>8} {'pairs s':>8} {'of full':>8}")  # fmt: skip
    first: Mapping[str, float] | None = None
    for name, (corpus, until) in runs.items():
        corpus.write(database)
        took = day(database, source, home, extractor, until)
        first = first or took
        print(
            f"{name:16} {took['described']:7} {took['visuals']:10.2f} "
            f"{took['visuals'] / first['visuals']:8.2%} {took['written']:8} {took['pairs']:8.2f} "
            f"{took['pairs'] / first['pairs']:8.2%}", flush=True,
        )  # fmt: skip


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
