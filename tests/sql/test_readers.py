"""Another process that reads all the time sees only committed days, and no error."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sql.database import Database
from sql.tables import impressions
from tests.sql.test_partitions import DAYS, shown

N_REPLACES = 12
QUERY = (
    "SELECT date, count(*) AS n, min(position) AS lowest, max(position) AS highest "
    "FROM impressions GROUP BY date ORDER BY date"
)
READER = """
import json, sys
from pathlib import Path
from sql.database import open_database

url, stop, way, query = sys.argv[1:]
database, seen, n_reads = open_database(url), set(), 0

def by_arrow():
    return [tuple(row.values()) for row in database.read(query).to_pylist()]

def by_one_connection():
    rows = connection.exec_driver_sql(query).all()
    connection.commit()
    return [tuple(row) for row in rows]

connection = database.engine.connect() if way == "one connection" else None
while not Path(stop).exists():
    rows = by_one_connection() if connection else by_arrow()
    seen.add(json.dumps([[str(day), *numbers] for day, *numbers in rows]))
    n_reads += 1
    if n_reads == 1:
        print("ready", flush=True)
print(json.dumps({"n_reads": n_reads, "seen": sorted(seen)}))
"""


def states(n: int) -> list[str]:
    """What is committed after the n-th replace, and before the first: days whose rows agree."""
    return [
        json.dumps([[str(day), 100 + i, i, i] for day in sorted(DAYS)]) for i in range(n + 1)
    ]  # fmt: skip


def watch(database: Database, folder: Path, way: str) -> tuple[int, set[str]]:
    """How often the reader looked during the replaces, and the states that it saw."""
    stop = folder / "stop"
    database.append(impressions, shown(100, *DAYS, position=0))
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, database.url, str(stop), way, QUERY],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert reader.stdout is not None
    try:
        assert reader.stdout.readline() == "ready\n"
        for i in range(1, N_REPLACES + 1):
            rows = shown(100 + i, *DAYS, position=i)
            database.replace(impressions, rows, date=DAYS)
    finally:
        stop.touch()
        printed, errors = reader.communicate(timeout=120)
    assert reader.returncode == 0, errors
    found = json.loads(printed)
    return found["n_reads"], set(found["seen"])


def assert_only_committed(n_reads: int, seen: set[str]) -> None:
    assert seen <= set(states(N_REPLACES)), seen - set(states(N_REPLACES))
    assert n_reads > 2
    assert len(seen) > 1


def test_on_sqlite(database: Database, tmp_path: Path) -> None:
    assert_only_committed(*watch(database, tmp_path, "arrow"))


@pytest.mark.parametrize("way", ["arrow", "one connection"])
def test_on_postgresql(server: Database, tmp_path: Path, way: str) -> None:
    assert_only_committed(*watch(server, tmp_path, way))
    assert server.read("SELECT count(*) AS n FROM impressions")["n"].to_pylist() == [336]
