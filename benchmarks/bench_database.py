"""Pair rows in, joined and out: Database against the ADBC driver by itself.

    python benchmarks/bench_database.py [--rows 5000000] [--runs 1] [--db postgresql://USER@HOST/N]

On SQLite, and with --db on PostgreSQL too, in a database of its own that is dropped at the end. The
driver loads rows that are already as the database stores them, into a table with the same key and
without partitions.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from bench_partitions import scratch_database
from machine import machine

from sql.arrow import stored
from sql.database import Database, open_database
from sql.tables import PAIR_INTEREST, candidates, pair_interest

N_DAYS, PER_QUERY = 5, 50
DAYS = [date(2026, 11, 15) - timedelta(days=n) for n in range(N_DAYS)]
RAW = sa.Table(
    "raw_pair_interest", sa.MetaData(), *(sa.Column(c.name, c.type, primary_key=c.primary_key)
                                          for c in pair_interest.columns),
    sqlite_with_rowid=False,
)  # fmt: skip
JOIN = """
SELECT i.date, c.source, count(*) AS n, avg(i.interest_cosine) AS mean
FROM {table} AS i JOIN candidates AS c ON c.query_pin_id = i.query_pin_id
    AND c.candidate_pin_id = i.candidate_pin_id
WHERE i.feature_version = 'v' GROUP BY i.date, c.source ORDER BY i.date, c.source
"""
OUT = f"SELECT * FROM {{table}} WHERE feature_version = 'v' AND date = '{DAYS[0]}'"


def pairs(n: int) -> pa.Table:
    numbers = np.arange(n).tolist()
    return pa.table(
        {
            "query_pin_id": [f"q{i // PER_QUERY:07d}" for i in numbers],
            "candidate_pin_id": [f"p{i:08d}" for i in numbers],
            "source": ["board" if i % 2 else "visual" for i in numbers],
        }
    )


def interest(keys: pa.Table, day: date, seed: int) -> pa.Table:
    rng, n = np.random.default_rng(seed), len(keys)
    values = {name: rng.random(n) for name in PAIR_INTEREST}
    return pa.table(
        {
            "feature_version": pa.array(["v"] * n),
            "date": pa.array([day] * n, pa.date32()),
            "query_pin_id": keys["query_pin_id"],
            "candidate_pin_id": keys["candidate_pin_id"],
            **values,
        }
    )


def driver(database: Database) -> Any:
    """A connection of the ADBC driver, as its documentation opens it."""
    if database.is_sqlite:
        from adbc_driver_sqlite import dbapi as sqlite

        return sqlite.connect(str(database.engine.url.database))
    from adbc_driver_postgresql import dbapi as postgresql

    plain = database.engine.url.set(drivername="postgresql")
    return postgresql.connect(plain.render_as_string(False))


def raw_load(database: Database, days: list[pa.Table]) -> None:
    for rows in days:
        with driver(database) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest(RAW.name, rows, mode="append")
            connection.commit()


def raw_read(database: Database, query: str) -> pa.Table:
    with driver(database) as connection, connection.cursor() as cursor:
        cursor.execute(query.format(table=RAW.name))
        return cursor.fetch_arrow_table()


def load(database: Database, days: list[pa.Table]) -> None:
    for rows in days:
        database.append(pair_interest, rows)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(database: Database, n_rows: int, runs: int) -> None:
    """Prints seconds of both, and ours over the driver's, medians of interleaved runs."""
    keys = pairs(n_rows // N_DAYS)
    database.append(candidates, keys)
    days = [interest(keys, day, seed) for seed, day in enumerate(DAYS)]
    raw = [stored(rows, pair_interest, database.engine.dialect.name) for rows in days]
    took: dict[str, list[tuple[float, float]]] = {"load": [], "join": [], "out": []}
    for _ in range(runs):
        RAW.drop(database.engine, checkfirst=True)
        RAW.create(database.engine)
        database.replace(pair_interest, days[0].slice(0, 0))
        took["load"].append(
            (seconds(lambda: raw_load(database, raw)), seconds(lambda: load(database, days)))
        )
        for what, query in (("join", JOIN), ("out", OUT)):
            if not database.is_sqlite:
                with database.engine.begin() as connection:
                    connection.exec_driver_sql("ANALYZE")
            ours = query.format(table=pair_interest.name)
            took[what].append(
                (
                    seconds(lambda query=query: raw_read(database, query)),
                    seconds(lambda ours=ours: database.read(ours)),
                )
            )
    assert database.read(JOIN.format(table=pair_interest.name))["n"].to_pylist() == [
        n_rows // N_DAYS // 2
    ] * (2 * N_DAYS)
    for what, both in took.items():
        theirs, mine = (statistics.median(times) for times in zip(*both, strict=True))
        name = f"{database.engine.dialect.name} {what}"
        print(f"{name:16} {theirs:8.2f} {mine:9.2f} {mine / theirs:7.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=5_000_000, help="Rows of pair_interest.")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--db", help="URL of a PostgreSQL server's database.")
    options = parser.parse_args()
    print(machine("adbc-driver-sqlite", "adbc-driver-postgresql", "sqlalchemy", "pyarrow"))
    print(f"{options.rows:,} rows x {len(pair_interest.columns)} columns in {N_DAYS} days, "
          f"median of {options.runs}")  # fmt: skip
    print(f"{'seconds':16} {'driver':>8} {'Database':>9} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Path(folder) / "bench.db")
        database.upgrade()
        measure(database, options.rows, options.runs)
    with scratch_database(options.db) if options.db else nullcontext() as server:
        if server is not None:
            measure(server, options.rows, options.runs)


if __name__ == "__main__":
    main()
