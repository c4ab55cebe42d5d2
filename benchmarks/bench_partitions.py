"""Replacing a day of impressions on PostgreSQL: by swapping its partition, and by DELETE and COPY.

    python benchmarks/bench_partitions.py --db postgresql://USER@HOST/NAME [--rows 200000]

Works in a database of its own on that server, which is dropped at the end. Meanwhile a reader
counts the day's rows without pause; every count must be that of a whole day.
"""

import argparse
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from machine import machine

from sql.database import Database, open_database
from sql.tables import METADATA, impressions

RUNS, N_DAYS = 5, 7
DAY = date(2026, 11, 15)
PLAIN = sa.Table(
    "plain", sa.MetaData(), *(sa.Column(c.name, c.type, primary_key=c.primary_key)
                              for c in METADATA.tables["impressions"].columns),
    sa.Index("plain_by_date", "date"),
)  # fmt: skip


@contextmanager
def scratch_database(url: str) -> Iterator[Database]:
    """A database of its own on the server, dropped at the end."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    server = open_database(url).engine.execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    database = open_database(server.url.set(database=name).render_as_string(False))
    try:
        database.upgrade()
        yield database
    finally:
        database.engine.dispose()
        with server.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        server.dispose()


def day_of_impressions(n_rows: int, day: date) -> pa.Table:
    numbers = np.arange(n_rows)
    return pa.table(
        {
            "request_id": [f"{day}-{i:08d}" for i in (numbers // 12).tolist()],
            "candidate_pin_id": [f"p{i:06d}" for i in (numbers % 12).tolist()],
            "date": pa.array([day] * n_rows, pa.date32()),
            "position": pa.array(numbers % 12 + 1),
            "propensity": np.full(n_rows, 1 / 12),
        }
    )


class Reader:
    """Counts a table's rows of the day without pause, until stopped."""

    def __init__(self, database: Database, table: str) -> None:
        self.counts: set[int] = set()
        self.seconds: list[float] = []
        self._stop = threading.Event()
        self._query = sa.text(f"SELECT count(*) FROM {table} WHERE date = :day")
        self._thread = threading.Thread(target=self._read, args=(database,))

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _read(self, database: Database) -> None:
        with database.engine.connect() as connection:
            while not self._stop.is_set():
                start = time.perf_counter()
                self.counts.add(int(connection.execute(self._query, {"day": DAY}).scalar_one()))
                connection.commit()
                self.seconds.append(time.perf_counter() - start)


def measure(
    database: Database, table: str, replace: Callable[[], int], n_rows: int
) -> tuple[float, Reader]:
    with Reader(database, table) as reader:
        start = time.perf_counter()
        replace()
        seconds = time.perf_counter() - start
    assert reader.counts == {n_rows}, reader.counts
    return seconds, reader


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--db", required=True, help="URL of a PostgreSQL server's database.")
    parser.add_argument("--rows", type=int, default=200_000, help="Rows of a day.")
    options = parser.parse_args()
    with scratch_database(options.db) as database:
        PLAIN.create(database.engine)
        for n in range(N_DAYS):
            rows = day_of_impressions(options.rows, DAY - timedelta(days=n))
            database.append(impressions, rows)
            database.append(PLAIN, rows)
        with database.engine.connect() as connection:
            version = connection.exec_driver_sql("SHOW server_version").scalar()
        rows = day_of_impressions(options.rows, DAY)
        tables = {"swap": impressions, "DELETE, COPY": PLAIN}
        runs: dict[str, list[tuple[float, Reader]]] = {way: [] for way in tables}
        for _ in range(RUNS):
            for way, table in tables.items():
                replace = lambda table=table: database.replace(table, rows, date=DAY)  # noqa: E731
                runs[way].append(measure(database, table.name, replace, options.rows))
    print(machine("adbc-driver-postgresql", "psycopg", "sqlalchemy"))
    print(f"PostgreSQL {version}; {N_DAYS} days of {options.rows:,} rows, median of {RUNS}")
    print(f"{'':14} seconds   reads  longest read  counts seen")
    for way, done in runs.items():
        reads = [s for _, reader in done for s in reader.seconds]
        counts = sorted({n for _, reader in done for n in reader.counts})
        seconds = statistics.median(s for s, _ in done)
        print(f"{way:14} {seconds:7.2f} {len(reads):7} {max(reads):11.2f} s  {counts}")
    by_swap, by_rows = (statistics.median(s for s, _ in done) for done in runs.values())
    print(f"DELETE, COPY / swap: {by_rows / by_swap:.2f} times the time")


if __name__ == "__main__":
    main()
