"""Pair rows from shards into the database: all at once, and block by block.

    python benchmarks/bench_pairs.py [--pairs 144000] [--days 5] [--db postgresql://USER@HOST/NAME]

At once is what the daily job does: Database.publish, one transaction, for rows that are there
already and go. Block by block is what one would otherwise write: delete, then append each shard.
Each runs in a process of its own, for its peak of memory. Meanwhile a reader counts the rows
without pause; after `all at once` it must have seen whole states only.
"""

import argparse
import json
import multiprocessing as mp
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from bench_partitions import scratch_database
from machine import machine

from features.pairs.shards import FEATURE_ROWS, INTEREST_ROWS
from features.pairs.store import PAIRS_AT_A_TIME
from sql.database import Change, open_database
from sql.tables import pair_features, pair_interest

PER_QUERY, VERSION = 48, "v"
COUNTS = "SELECT (SELECT count(*) FROM pair_features), (SELECT count(*) FROM pair_interest)"
SPAWN = mp.get_context("spawn")


def write_shards(folder: Path, n_pairs: int, days: list[date]) -> None:
    """Shards as the daily job leaves them, with random values."""
    rng = np.random.default_rng(20261115)
    for start in range(0, n_pairs, PAIRS_AT_A_TIME):
        numbers = np.arange(start, min(start + PAIRS_AT_A_TIME, n_pairs))
        inputs = [f"3 {a:016x} {b:016x}" for a, b in rng.integers(0, 2**63, (len(numbers), 2))]
        features = {**keys(numbers), "inputs": pa.array(inputs)}
        pq.write_table(filled(features, FEATURE_ROWS, rng), folder / f"features-{start}.parquet")
        with pq.ParquetWriter(folder / f"interest-{start}.parquet", INTEREST_ROWS) as writer:
            for day in days:
                dates = pa.array([day] * len(numbers), pa.date32())
                writer.write_table(filled({**keys(numbers), "date": dates}, INTEREST_ROWS, rng))


def keys(numbers: np.ndarray) -> dict[str, pa.Array]:
    return {
        "feature_version": pa.array([VERSION] * len(numbers)),
        "query_pin_id": pa.array([f"s{i // PER_QUERY:06d}" for i in numbers.tolist()]),
        "candidate_pin_id": pa.array([f"p{i:08d}" for i in numbers.tolist()]),
    }


def filled(known: dict[str, pa.Array], schema: pa.Schema, rng: np.random.Generator) -> pa.Table:
    n = len(known["query_pin_id"])
    columns = {name: known.get(name, rng.random(n, dtype=np.float32)) for name in schema.names}
    return pa.table(columns).cast(schema)


def at_once(url: str, folder: Path, days: list[date]) -> None:
    interest, features = (sorted(folder.glob(f"{kind}-*")) for kind in ("interest", "features"))
    whole = [(VERSION, day) for day in days]
    open_database(url).publish([Change(pair_interest, interest, whole),
                                Change(pair_features, features, [(VERSION,)])])  # fmt: skip


def by_blocks(url: str, folder: Path, days: list[date]) -> None:
    database = open_database(url)
    with database.engine.begin() as connection:
        for table in (pair_interest, pair_features):
            connection.execute(sa.delete(table).where(table.c.feature_version == VERSION))
    for path in sorted(folder.glob("*.parquet")):
        table = pair_features if path.name.startswith("features") else pair_interest
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                database.append(table, file.read_row_group(group))


WAYS = {"all at once": at_once, "block by block": by_blocks}


def run(way: str, url: str, folder: Path, days: list[date], out: Path) -> None:
    before = peak_mb()
    begun = time.perf_counter()
    WAYS[way](url, folder, days)
    seconds = time.perf_counter() - begun
    out.write_text(json.dumps({"seconds": seconds, "mb": peak_mb(), "start_mb": before}))


def peak_mb() -> float:
    """The most memory that this process has had, of Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10


def read(url: str, stop: Event, out: Path) -> None:
    seen, slowest, n = set[tuple[int, ...]](), 0.0, 0
    with open_database(url).engine.connect() as connection:
        while not stop.is_set():
            begun = time.perf_counter()
            seen.add(tuple(connection.exec_driver_sql(COUNTS).one()))
            connection.rollback()
            slowest, n = max(slowest, time.perf_counter() - begun), n + 1
            time.sleep(0.05)
    out.write_text(json.dumps({"n": n, "states": sorted(seen), "slowest": slowest}))


def measured(way: str, url: str, folder: Path, days: list[date]) -> Iterator[dict[str, object]]:
    """What the writer and the reader found."""
    stop, outs = SPAWN.Event(), [folder / "writer.json", folder / "reader.json"]
    reader = SPAWN.Process(target=read, args=(url, stop, outs[1]))
    writer = SPAWN.Process(target=run, args=(way, url, folder, days, outs[0]))
    reader.start()
    writer.start()
    writer.join()
    stop.set()
    reader.join()
    assert writer.exitcode == reader.exitcode == 0
    yield from (json.loads(out.read_text()) for out in outs)


def compare(url: str, folder: Path, days: list[date], runs: int) -> None:
    at_once(url, folder, days)
    seconds = dict[str, list[float]]()
    for _ in range(runs):
        for way in WAYS:
            wrote, saw = measured(way, url, folder, days)
            seconds.setdefault(way, []).append(float(str(wrote["seconds"])))
            print(f"  {way:15} {wrote['seconds']:6.1f} s, {wrote['mb']:.0f} MB at most "
                  f"({wrote['start_mb']:.0f} at the start); a reader looked {saw['n']} times, "
                  f"waited {saw['slowest']:.2f} s at most, saw {len(saw['states'])} states",
                  flush=True)  # fmt: skip
            assert way != "all at once" or len(saw["states"]) == 1, saw["states"]
    at, by = (float(np.median(seconds[way])) for way in WAYS)
    print(f"  all at once / block by block: {at / by:.2f} times the time (medians of {runs})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=144_000)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--db", help="A PostgreSQL server to measure on as well.")
    options = parser.parse_args()
    days = [date(2026, 11, 15) - timedelta(days=n) for n in range(options.days)]
    print(machine("pyarrow", "sqlalchemy", "adbc-driver-sqlite", "adbc-driver-postgresql"))
    print(f"{options.pairs:,} pairs, {options.pairs * options.days:,} rows of interest")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_shards(folder, options.pairs, days)
        database = open_database(folder / "bench.db")
        database.upgrade()
        print("SQLite")
        compare(database.url, folder, days, options.runs)
        with scratch_database(options.db) if options.db else nullcontext() as server:
            if server is not None:
                print("PostgreSQL")
                compare(server.url, folder, days, options.runs)


if __name__ == "__main__":
    main()
