"""A small log in the input contract, in which one pair feature decides what is saved."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sql.database import Database, open_database
from sql.ingest import ingest
from sql.tables import pair_features

FIRST = dt.date(2026, 3, 1)
N_DAYS, N_QUERIES, N_CANDIDATES, PAGE, N_REQUESTS = 6, 12, 20, 8, 720


@dataclass
class Log:
    """Input tables by name, to be changed by a test and ingested; saves follow `cosine`."""

    tables: dict[str, pa.Table]
    cosine: pa.Table

    def day(self, number: int) -> dt.date:
        return FIRST + dt.timedelta(days=number)

    def ingest(self, database: Database, folder: Path, number: int = N_DAYS - 1) -> None:
        """Ingest what is known at the end of the day, and the pair features."""
        folder.mkdir(exist_ok=True)
        for name, table in self.tables.items():
            pq.write_table(table, folder / f"{name}.parquet")
        ingest(database, folder, self.day(number))
        database.replace(pair_features, self.cosine, feature_version="v1")

    def add(self, name: str, **row: object) -> None:
        table = self.tables[name]
        self.tables[name] = pa.concat_tables([table, pa.Table.from_pylist([row], table.schema)])


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Database]:
    """The PostgreSQL database, emptied and at the newest schema."""
    fresh = open_database(postgres_url)
    with fresh.engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    fresh.upgrade()
    yield fresh
    fresh.engine.dispose()


@pytest.fixture
def log() -> Log:
    rng = np.random.default_rng(0)
    pins = [f"q{i:02d}" for i in range(N_QUERIES)] + [f"c{i:02d}" for i in range(N_CANDIDATES)]
    start = np.datetime64(FIRST, "us")
    cosine = rng.uniform(-1, 1, (N_QUERIES, N_CANDIDATES))
    query = rng.integers(0, N_QUERIES, N_REQUESTS)
    minute = np.sort(rng.integers(0, N_DAYS * 1440 - 10, N_REQUESTS))
    asked = start + minute * np.timedelta64(60, "s")
    shown = np.argsort(rng.random((N_REQUESTS, N_CANDIDATES)), axis=1)[:, :PAGE]
    saved = rng.random(shown.shape) < 1 / (1 + np.exp(2 - 5 * cosine[query[:, None], shown]))
    requests = np.char.add("r", np.char.zfill(np.arange(N_REQUESTS).astype(str), 4))
    candidates = np.char.add("c", np.char.zfill(np.arange(N_CANDIDATES).astype(str), 2))
    queries = np.char.add("q", np.char.zfill(np.arange(N_QUERIES).astype(str), 2))
    at, place = np.nonzero(saved)
    every_query, every_candidate = (
        queries.repeat(N_CANDIDATES), np.tile(candidates, N_QUERIES)
    )  # fmt: skip
    tables = {
        "pins": pa.table(
            {
                "pin_id": pins,
                "image": [f"{pin}.jpg" for pin in pins],
                "title": pins,
                "board": ["b"] * len(pins),
                "created_at": [start - np.timedelta64(36, "h")] * len(pins),
            }
        ),
        "requests": pa.table(
            {
                "request_id": requests,
                "user_id": np.char.add("u", (np.arange(N_REQUESTS) % 90).astype(str)),
                "query_pin_id": queries[query],
                "requested_at": asked,
                "policy": np.where(np.arange(N_REQUESTS) % 2, "production", "random"),
                "platform": np.where(np.arange(N_REQUESTS) % 3, "ios", "web"),
            }
        ),
        "impressions": pa.table(
            {
                "request_id": requests.repeat(PAGE),
                "candidate_pin_id": candidates[shown.ravel()],
                "position": np.tile(np.arange(1, PAGE + 1), N_REQUESTS),
                "propensity": np.full(N_REQUESTS * PAGE, 1 / N_CANDIDATES),
            }
        ),
        "engagements": pa.table(
            {
                "request_id": requests[at],
                "candidate_pin_id": candidates[shown[at, place]],
                "action": ["save"] * len(at),
                "engaged_at": asked[at] + np.timedelta64(1, "m"),
            }
        ),
        "candidates": pa.table(
            {
                "query_pin_id": every_query,
                "candidate_pin_id": every_candidate,
                "source": rng.choice(["board", "visual"], N_QUERIES * N_CANDIDATES),
            }
        ),
        "crops": pa.table(
            {
                "crop_id": pa.array([], pa.string()),
                "user_id": pa.array([], pa.string()),
                "pin_id": pa.array([], pa.string()),
                **{edge: pa.array([], pa.float64()) for edge in ("x1", "y1", "x2", "y2")},
                "cropped_at": pa.array([], pa.timestamp("us")),
            }
        ),
    }
    features = pa.table(
        {
            "feature_version": ["v1"] * cosine.size,
            "query_pin_id": every_query,
            "candidate_pin_id": every_candidate,
            "whole_cosine": cosine.ravel(),
            "crop_cosine": rng.uniform(-1, 1, cosine.size),
        }
    )
    return Log(tables, features)
