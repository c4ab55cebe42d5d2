"""Another process that reads all the time sees the pairs before a refresh or after it."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.pairs import store as pair_store
from sql import exchanges
from sql.database import Database
from tests.features.pairs.pair_world import World, filled
from tests.features.pairs.test_store import walk
from tests.sql.conftest import server
from tests.sql.test_readers import READER

__all__ = ["server"]
N_REFRESHES = 3
QUERY = (
    "SELECT n.date, count(*) AS n, count(f.inputs) AS of_pairs, "
    "(SELECT count(*) FROM pair_features) AS pairs, min(f.inputs) AS first, max(f.inputs) AS last, "
    "min(CASE WHEN f.query_pin_id = 'p01' THEN f.inputs END) AS first_of_p01, "
    "sum(CASE WHEN f.query_pin_id = 'p01' THEN n.query_interest_max END) AS interest_in_p01 "
    "FROM pair_interest AS n LEFT JOIN pair_features AS f "
    "ON f.feature_version = n.feature_version AND f.query_pin_id = n.query_pin_id "
    "AND f.candidate_pin_id = n.candidate_pin_id GROUP BY n.date ORDER BY n.date"
)


def shown(database: Database) -> str:
    rows = [list(row.values()) for row in database.read(QUERY).to_pylist()]
    return json.dumps([[str(day), *values] for day, *values in rows])


def watch(world: World, folder: Path, way: str) -> tuple[set[str], set[str]]:
    """What was there after each refresh, and what a reader saw meanwhile."""
    stop = folder / "stop"
    world.refresh()
    committed = {shown(world.database)}
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, world.database.url, str(stop), way, QUERY],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert reader.stdout is not None
    try:
        assert reader.stdout.readline() == "ready\n"
        for n in range(1, N_REFRESHES + 1):
            pins = sorted(world.pins)[1 : 2 if n % 2 else None]  # some pairs, all pairs in turn
            world.pins |= {pin: 100 * n + int(pin[1:]) for pin in pins}
            world.refresh()
            committed.add(shown(world.database))
    finally:
        stop.touch()
        printed, errors = reader.communicate(timeout=120)
    assert reader.returncode == 0, errors
    return committed, set(json.loads(printed)["seen"])


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_store, "PAIRS_AT_A_TIME", 16)
    monkeypatch.setattr(exchanges, "PAUSE_SECONDS", 0.05)


def test_on_sqlite(database: Database, tmp_path: Path) -> None:
    committed, seen = watch(filled(database, tmp_path), tmp_path, "arrow")
    assert len(committed) == N_REFRESHES + 1
    assert seen <= committed, seen - committed
    assert len(seen) > 1


def test_on_postgresql(server: Database, tmp_path: Path) -> None:
    committed, seen = watch(filled(server, tmp_path), tmp_path, "one connection")
    assert len(committed) == N_REFRESHES + 1
    assert seen <= committed, seen - committed
    assert len(seen) > 1


def test_any_changes_give_the_same_rows_on_postgresql(server: Database, tmp_path: Path) -> None:
    walk(server, tmp_path, steps=3, seed=7)


def test_a_reader_of_both_tables_is_not_what_a_deadlock_ends(
    server: Database, tmp_path: Path
) -> None:
    """It has the one and asks for the other, while a refresh has the other and asks for the one."""
    world = filled(server, tmp_path)
    world.refresh()
    world.pins |= {pin: seed + 20 for pin, seed in world.pins.items()}
    with ThreadPoolExecutor(1) as pool, server.engine.connect() as reader:
        assert reader.exec_driver_sql("SELECT count(*) FROM pair_features").scalar()
        refreshed = pool.submit(world.refresh)
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
        while not refreshed.done() and not server.read(waits)["count"][0].as_py():
            time.sleep(0.01)
        assert reader.exec_driver_sql("SELECT count(*) FROM pair_interest").scalar()
        reader.rollback()
        assert refreshed.result().pairs == len(world.pairs)
