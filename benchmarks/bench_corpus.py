"""Ten times the pins: peak memory and rows per second of CPU of each feature step, in a process of
its own.

    python benchmarks/bench_corpus.py [--pins 2000 20000] [--visuals HOME] [--folder FOLDER]

A corpus has one tiny image file per pin. Visuals are reused: those in the shards of HOME, or 2,000
random ones of the same shape, under the content hash of each file; so the steps are the daily
job's, with nothing replaced but the models. Query pins, candidates per query pin (48), cropped
pins and crops per pin are those of the real log per pin: 0.21 query pins (--queries), 0.11 cropped
pins, 46 crops each. Candidates are drawn at random, the worst case for reading shards. Pairs are
made for one day.
"""

import argparse
import datetime as dt
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from machine import machine
from PIL import Image as pil

from features.daily import refresh_pairs, refresh_visuals
from features.embedding.embedding import unit
from features.images.images import Image
from features.pairs.object_interest import refresh_interest
from features.visuals.shards import read_shard, shards_under
from features.visuals.visuals import PinVisual
from sql.database import Database, open_database
from sql.tables import candidates, crops, pins

DAY = dt.date(2026, 11, 15)
VERSION = "reused"
PER_QUERY, CROPPED, CROPS = 48, 0.11, 46
NAMES = ("top", "pants", "shoes", "bag", "dress", "outerwear")
AT_A_TIME = 8192


@dataclass(frozen=True)
class Reused:
    """An extractor that takes visuals of other images: as `VisualExtractor` for the daily job."""

    visuals: Sequence[PinVisual]
    feature_version = VERSION
    projection = None

    def extract(self, images: Sequence[Image]) -> list[PinVisual]:
        rows = (int(image.content_hash[:8], 16) % len(self.visuals) for image in images)
        pairs = zip(rows, images, strict=True)
        return [replace(self.visuals[row], content_hash=i.content_hash) for row, i in pairs]


def visuals_to_reuse(home: Path | None) -> list[PinVisual]:
    if home is not None:
        shards = shards_under(home / "visuals")[:8]
        return [visual for shard in shards for visual in read_shard(shard)]
    return [random_visual(np.random.default_rng(seed)) for seed in range(2000)]


def random_visual(rng: np.random.Generator) -> PinVisual:
    n = int(rng.integers(0, 6))
    corners = np.sort(rng.uniform(0, 400, (n, 2, 2)), axis=1).reshape(n, 4)

    def vectors(rows: int, width: int) -> np.ndarray:
        return unit(rng.normal(size=(rows, width)).astype(np.float32))

    return PinVisual(
        content_hash="", width=400, height=600, whole=vectors(1, 1280)[0],
        whole_crop=vectors(1, 128)[0], boxes=corners.astype(np.float32),
        scores=-np.sort(-rng.uniform(0.4, 1, n)).astype(np.float32),
        categories=tuple(rng.choice(NAMES, n).tolist()), crops=vectors(n, 128),
        padded=vectors(n, 128), colours=rng.uniform(0, 100, (n, 3)).astype(np.float32),
    )  # fmt: skip


def write_source(folder: Path, n_pins: int, share_of_queries: float) -> None:
    """Image files, and the rows that ingest would have written."""
    database = open_database(folder / "related_pins.db")
    database.upgrade()
    rng = np.random.default_rng(1)
    for start in range(0, n_pins, AT_A_TIME):
        numbers = range(start, min(start + AT_A_TIME, n_pins))
        for number in numbers:
            path = folder / image(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            pil.new("RGB", (1, 1), tuple(number.to_bytes(3))).save(path)
        rows = {"pin_id": [pin(n) for n in numbers], "image": [image(n) for n in numbers]}
        database.append(pins, pa.table(rows))
    queries = np.arange(int(n_pins * share_of_queries))
    for start in range(0, len(queries), AT_A_TIME):
        some = queries[start : start + AT_A_TIME]
        others = rng.integers(0, n_pins, len(some) * PER_QUERY)
        drawn = pd.DataFrame({"query": np.repeat(some, PER_QUERY), "other": others})
        columns = drawn.drop_duplicates().sort_values(["query", "other"])
        names = {"query_pin_id": columns["query"], "candidate_pin_id": columns["other"]}
        rows = {name: [pin(n) for n in column.tolist()] for name, column in names.items()}
        database.append(candidates, pa.table(rows))


def write_crops(folder: Path, n_pins: int) -> None:
    """Crops of found objects, on the days before DAY; the first pins are cropped."""
    database = open_database(folder / "related_pins.db")
    rng = np.random.default_rng(2)
    for start in range(0, int(n_pins * CROPPED), AT_A_TIME):
        end = min(start + AT_A_TIME, int(n_pins * CROPPED))
        boxes = database.read(
            "SELECT pin_id, x1, y1, x2, y2 FROM pin_objects WHERE feature_version = :version "
            "AND pin_id BETWEEN :first AND :last", version=VERSION, first=pin(start),
            last=pin(end - 1),
        ).to_pandas()  # fmt: skip
        n = (end - start) * CROPS
        rows = boxes.sample(n, replace=True, random_state=rng).reset_index(drop=True)
        days = [DAY - dt.timedelta(days=day) for day in range(1, 15)]
        rows = rows.assign(
            crop_id=[f"c{start:07}-{number:06}" for number in range(n)],
            user_id=[f"u{user}" for user in rng.integers(0, n_pins, n)],
            date=rng.choice(np.array(days), n),
        )
        database.append(crops, pa.Table.from_pandas(rows, preserve_index=False))


def pin(number: int) -> str:
    return f"p{number:07}"


def image(number: int) -> str:
    return f"photos/{number // 1000:04}/{number:07}.png"


def describe(folder: Path, home: Path | None) -> int:
    extractor = Reused(visuals_to_reuse(home))
    found = refresh_visuals(database_of(folder), folder, folder, extractor, DAY)  # type: ignore[arg-type]
    return found.described or found.reused


def interest(folder: Path) -> int:
    refresh_interest(database_of(folder), VERSION, [DAY])
    return rows_of(folder, "crops")


def pairs(folder: Path) -> int:
    return refresh_pairs(database_of(folder), folder, VERSION, [DAY]).pairs


def pairs_again(folder: Path) -> int:
    refresh_pairs(database_of(folder), folder, VERSION, [DAY])
    return rows_of(folder, "candidates")


def database_of(folder: Path) -> Database:
    return open_database(folder / "related_pins.db")


def rows_of(folder: Path, table: str) -> int:
    count = database_of(folder).read(f"SELECT count(*) AS n FROM {table}")
    return int(count["n"][0].as_py())


def measured(step: Callable[[], int]) -> tuple[int, float, float, float, float]:
    """(rows, seconds, seconds of CPU, MB before, MB at the peak) of a step in this process."""
    before, start, busy = memory("VmRSS"), time.perf_counter(), time.process_time()
    n_rows = step()
    took = time.perf_counter() - start, time.process_time() - busy
    return n_rows, *took, before, memory("VmHWM")


def memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def alone(step: Callable[[], int]) -> tuple[int, float, float, float, float]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measured, step).result()


def measure(folder: Path, n_pins: int, share_of_queries: float, home: Path | None) -> None:
    folder.mkdir(parents=True)
    alone(partial(one, partial(write_source, folder, n_pins, share_of_queries)))
    steps = {
        "visuals": partial(describe, folder, home),
        "visuals again": partial(describe, folder, home),
        "interest, one day": partial(interest, folder),
        "pairs, one day": partial(pairs, folder),
        "pairs again": partial(pairs_again, folder),
    }
    for name, step in steps.items():
        if name.startswith("interest"):
            alone(partial(one, partial(write_crops, folder, n_pins)))
        n_rows, seconds, busy, before, peak = alone(step)
        numbers = f"{n_rows:11,} {seconds:9.1f} {busy:8.1f} {n_rows / busy:9,.0f}"
        load = os.getloadavg()[0]
        print(f"{n_pins:9,} {name:18} {numbers} {before:9.0f} {peak:7.0f} {load:6.1f}", flush=True)
    for name, n_bytes in sizes(folder).items():
        print(f"{n_pins:9,} {name:18} {n_bytes / 1e6:11,.1f} MB", flush=True)


def one(write: Callable[[], None]) -> int:
    write()
    return 1


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of the parts of a home."""
    parts = {"shards": "visuals/*/*.*", "contents": "contents/*", "database": "*.db*"}
    return {n: sum(f.stat().st_size for f in folder.glob(glob)) for n, glob in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pins", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument("--queries", type=float, default=0.21, help="Query pins per pin.")
    parser.add_argument("--visuals", type=Path, help="Home whose visuals are reused.")
    parser.add_argument("--folder", type=Path, help="Where the corpora are made and deleted.")
    options = parser.parse_args()
    print(machine("pyarrow", "numpy", "pandas"))
    print(f"{'pins':>9} {'step':18} {'rows':>11} {'seconds':>9} {'of CPU':>8} {'rows/s':>9} "
          f"{'MB before':>9} {'peak':>7} {'load':>6}")  # fmt: skip
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        for n_pins in options.pins:
            folder = Path(scratch) / str(n_pins)
            measure(folder, n_pins, options.queries, options.visuals)
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
