"""The ranker trained past one machine, tried on this one: the same rows, three ways.

    python benchmarks/bench_machines_ranker.py HOME [--arm targeted] [--days 3] [--trees 100]

alone: LightGBM in one process, with the additive term per position (the product's way) and without.
dask: lightgbm.dask.DaskLGBMRanker on a LocalCluster of two workers; it takes no positions.
sockets: LightGBM's own data-parallel learning (`machines`) in two processes, with positions.
Every way has two threads in all. Trained on the days before the held-out window of HOME's last
model of the arm; nDCG@10 on the first day of the window, requests in random order apart.
"""

import argparse
import datetime as dt
import json
import multiprocessing as mp
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from machine import machine

from ranking.metrics import ndcg, places
from ranking.ranker import SETTINGS  # before anything else loads LightGBM: see ranking/__init__.py
from ranking.ranking import training_table
from sql.database import Database, open_database

WORKERS = 2


@dataclass(frozen=True)
class Rows:
    """Rows to train on or to judge by, ordered by request."""

    columns: np.ndarray
    grades: np.ndarray
    positions: np.ndarray
    requests: np.ndarray
    pins: np.ndarray
    random: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        return np.unique(self.requests, return_counts=True)[1]

    def parts(self) -> list["Rows"]:
        """As many parts as there are workers, of whole requests."""
        ends = np.cumsum(self.sizes)
        cuts = [ends[len(ends) * part // WORKERS - 1] for part in range(1, WORKERS)]
        bounds = [0, *cuts, len(self.grades)]
        return [
            Rows(*(values[start:end] for values in vars(self).values()))
            for start, end in pairwise(bounds)
        ]


def read(database: Database, model: dict[str, Any], first: dt.date, last: dt.date) -> Rows:
    names = json.loads(model["columns"])
    table = training_table(database, model["feature_version"], names, first, last)
    random = database.read(
        "SELECT request_id FROM requests WHERE policy = 'random' AND date BETWEEN :first AND :last",
        first=first, last=last,
    )["request_id"]  # fmt: skip
    columns = [_codes(table[name]) for name in names]
    return Rows(
        np.stack(columns, axis=1),
        table["grade"].to_numpy(),
        table["position"].to_numpy(),
        np.unique(table["request_id"].to_numpy(zero_copy_only=False), return_inverse=True)[1],
        table["candidate_pin_id"].to_numpy(zero_copy_only=False),
        pc.is_in(table["request_id"], random).to_numpy(zero_copy_only=False),
    )


def _codes(values: pa.ChunkedArray) -> np.ndarray:
    """Numbers as they are; words by their place in the alphabet."""
    if not pa.types.is_string(values.type):
        return values.cast(pa.float32()).to_numpy(zero_copy_only=False)
    words = pa.array(sorted(pc.unique(values.drop_null()).to_pylist()), pa.string())
    return pc.index_in(values, words).cast(pa.float32()).to_numpy(zero_copy_only=False)


def alone(rows: Rows, trees: int, threads: int, positions: bool, **more: Any) -> Any:
    import lightgbm as lgb

    settings = SETTINGS | {"seed": 0, "num_threads": threads} | more
    data = lgb.Dataset(
        rows.columns, rows.grades, group=rows.sizes, params=settings,
        position=rows.positions if positions else None,
    )  # fmt: skip
    return lgb.train(settings, data, num_boost_round=trees)


def by_dask(rows: Rows, trees: int, client: Any) -> Any:
    import dask.array as da
    from lightgbm.dask import DaskLGBMRanker

    parts = rows.parts()
    lengths = tuple(len(part.grades) for part in parts)
    settings = {k: v for k, v in SETTINGS.items() if not k.startswith("lambdarank_position")}
    ranker = DaskLGBMRanker(
        n_estimators=trees, random_state=0, client=client, tree_learner="data", **settings
    )
    ranker.fit(
        da.from_array(rows.columns, chunks=(lengths, rows.columns.shape[1])),
        da.from_array(rows.grades, chunks=(lengths,)),
        group=da.from_array(rows.sizes, chunks=(tuple(len(part.sizes) for part in parts),)),
    )
    return ranker.booster_


def by_sockets(rows: Rows, trees: int) -> Any:
    import lightgbm as lgb

    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(WORKERS)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    context = mp.get_context("spawn")
    hears, told = context.Pipe(duplex=False)
    jobs = [
        context.Process(target=_by_socket, args=(part, trees, ports, number, told))
        for number, part in enumerate(rows.parts())
    ]
    for job in jobs:
        job.start()
    model = hears.recv()
    for job in jobs:
        job.join()
    return lgb.Booster(model_str=model)


def _by_socket(rows: Rows, trees: int, ports: list[int], number: int, told: Any) -> None:
    booster = alone(
        rows, trees, 1, True, tree_learner="data", pre_partition=True, num_machines=WORKERS,
        machines=",".join(f"127.0.0.1:{port}" for port in ports), local_listen_port=ports[number],
    )  # fmt: skip
    if number == 0:
        told.send(booster.model_to_string())


def judged(booster: Any, rows: Rows) -> list[str]:
    """nDCG@10 and its standard error on production-ordered and on randomly ordered requests."""
    at = places(rows.requests, booster.predict(rows.columns), rows.pins)
    found = [
        ndcg(rows.requests[some], at[some], rows.grades[some])
        for some in (~rows.random, rows.random)
    ]
    return [f"{v.mean():.4f} ({v.std() / np.sqrt(len(v)):.4f})" for v in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--arm", default="targeted")
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--trees", type=int, default=100)
    options = parser.parse_args()
    database = open_database(options.home / "related_pins.db")
    query = "SELECT * FROM models WHERE arm = :arm ORDER BY date DESC LIMIT 1"
    (model,) = database.read(query, arm=options.arm).to_pylist()
    day = dt.timedelta(days=1)
    last = model["train_to"]
    rows = read(database, model, last - (options.days - 1) * day, last)
    held_out = read(database, model, last + day, last + day)
    print(machine("lightgbm", "dask", "distributed"), f"load {os.getloadavg()[0]:.1f}")
    print(f"{len(rows.grades):,} rows x {rows.columns.shape[1]} columns, {options.trees} trees; "
          f"judged on {len(held_out.sizes):,} requests", flush=True)  # fmt: skip
    compare(rows, held_out, options.trees)


def compare(rows: Rows, held_out: Rows, trees: int) -> None:
    from dask.distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        ways: dict[str, Callable[[], Any]] = {
            "alone, with positions": lambda: alone(rows, trees, WORKERS, True),
            "alone, without": lambda: alone(rows, trees, WORKERS, False),
            "dask, without": lambda: by_dask(rows, trees, client),
            "sockets, with positions": lambda: by_sockets(rows, trees),
        }
        base = None
        for name, way in ways.items():
            started = time.perf_counter()
            booster = way()
            seconds = time.perf_counter() - started
            base = base or seconds
            production, random = judged(booster, held_out)
            print(
                f"  {name:24} {seconds:7.1f} s ({seconds / base:4.1f}x)  nDCG@10 production order "
                f"{production}, random order {random}",
                flush=True,
            )


if __name__ == "__main__":
    main()
