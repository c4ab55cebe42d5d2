"""Building, updating, opening and searching a whole index, on real visuals that are multiplied.

    python benchmarks/bench_index_build.py --home .related-pins --objects 200000

The visuals of a home's shards are written again and again, under other content hashes and with
vectors moved as in bench_index.py, into shards of a home of its own, until there are as many
objects; from these the index is built. Then one shard more is added by an update. Each query is an
image that is left out: all of its objects, and the image as a whole, are searched, with pins,
boxes and categories of the best 50 of each.
"""

import argparse
import hashlib
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine

from features.search.build import build_index, update_index
from features.search.generation import current, index_folder
from features.search.index import VECTORS, ObjectIndex, open_index
from features.visuals.shards import read_shard, write_shard
from features.visuals.store import as_rows
from features.visuals.visuals import PinVisual
from sql.database import Database, open_database
from sql.tables import pin_visuals

SHARD, TOP, QUERIES, SEED, VERSION = 256, 50, 500, 7, "multiplied"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--feature-version", required=True)
    parser.add_argument("--objects", type=int, default=200_000)
    options = parser.parse_args()
    print(machine("faiss-cpu", "pyarrow"))
    folder = options.home / "visuals" / options.feature_version
    real = [v for shard in sorted(folder.iterdir()) for v in read_shard(shard)]
    order = np.random.default_rng(SEED).permutation(len(real))
    asked = [real[row] for row in order[:QUERIES]]
    real = [real[row] for row in order[QUERIES:]]
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        database = open_database(home / "related_pins.db")
        database.upgrade()
        shards = multiplied(real, options.objects)
        for number, visuals in enumerate(shards):
            publish(database, home, number, visuals)
        seconds("build", lambda: build_index(database, home, VERSION))
        publish(database, home, 10**6, next(multiplied(real[:SHARD], 1, "more")))
        seconds("update by 256 images", lambda: update_index(database, home, VERSION))
        made = current(index_folder(home, VERSION))
        assert made is not None
        print(f"{made.n_objects:,} objects by {made.objects_by}")
        print(f"{made.n_images:,} images by {made.images_by}")
        for name, (n_bytes, _) in made.files.items():
            n = made.n_objects if name.startswith("objects") else made.n_images
            print(f"  {name:16} {n_bytes / 1e6:8.1f} MB, {n_bytes / n:6.0f} bytes each")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"peak memory of it all: {peak:.1f} GB")
        index = seconds("open, with the check", lambda: open_index(home, VERSION))
        searched(index, asked)


def multiplied(real: list[PinVisual], n_objects: int, salt: str = "") -> Iterator[list[PinVisual]]:
    """Shards of at least as many objects: first the visuals themselves, then moved copies."""
    rng, turn, done, shard = np.random.default_rng(SEED), 0, 0, list[PinVisual]()
    steps = np.concatenate([v.padded - v.crops for v in real])
    while done < n_objects:
        for visual in real:
            name = hashlib.sha256(f"{salt}{turn}{visual.content_hash}".encode()).hexdigest()
            other = real[rng.integers(len(real))]
            step = steps[rng.integers(len(steps), size=len(visual.scores))]
            shard.append(visual if turn == 0 and not salt else replace(
                visual, content_hash=name,
                crops=unit(visual.crops + rng.uniform(0.5, 1.5) * step),
                whole=unit(visual.whole + 0.3 * (other.whole - visual.whole)),
            ))  # fmt: skip
            done += len(visual.scores)
            if len(shard) == SHARD or done >= n_objects:
                yield shard
                shard = []
            if done >= n_objects:
                return
        turn += 1


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def publish(database: Database, home: Path, number: int, visuals: list[PinVisual]) -> None:
    path = f"visuals/{VERSION}/{number:07}.arrow"
    write_shard(home / path, visuals)
    empty = dict.fromkeys(pin_visuals.c.keys())
    rows = [
        empty | {"feature_version": VERSION, "pin_id": f"pin{number:07}{row:04}",
                 "content_hash": visual.content_hash, "shard": path}
        for row, visual in enumerate(visuals)
    ]  # fmt: skip
    database.append(pin_visuals, as_rows(pin_visuals, rows))


def seconds(what: str, work: Callable[[], Any]) -> Any:
    started, cpu = time.perf_counter(), time.process_time()
    result = work()
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    load = os.getloadavg()[0]
    print(f"{what}: {took:,.1f} s, {cpu:,.1f} s of processor; load average {load:.1f}", flush=True)
    return result


def searched(index: ObjectIndex, asked: list[PinVisual]) -> None:
    times, cpus, n_objects = [], [], []
    for visual in asked:
        started, cpu = time.perf_counter(), time.thread_time()
        if len(visual.scores):
            index.search_objects(getattr(visual, VECTORS), TOP)
        index.search_images(visual.whole[None], TOP)
        times.append(1000 * (time.perf_counter() - started))
        cpus.append(1000 * (time.thread_time() - cpu))
        n_objects.append(len(visual.scores))
    median, p99 = np.percentile(times, [50, 99])
    cpu_median, cpu_p99 = np.percentile(cpus, [50, 99])
    print(
        f"one image ({np.mean(n_objects):.1f} objects on average) to the best {TOP} of each: "
        f"median {median:.1f} ms, p99 {p99:.1f} ms; of processor {cpu_median:.1f} and "
        f"{cpu_p99:.1f} ms; load average {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
