"""As many pairs by name as a shard holds, on both databases."""

import datetime as dt

import pyarrow as pa
import pytest
import sqlalchemy as sa

from features.pairs.changes import pages, rows_gone, wanted_pairs
from features.pairs.shards import KEYS
from features.pairs.store import PAIRS_AT_A_TIME
from sql.database import Change, Database
from sql.tables import candidates, pair_features, pin_visuals
from tests.sql.conftest import server

__all__ = ["server"]
VERSION = "v1"
DAY = dt.date(2026, 11, 15)
N_PINS = 130
PAIRS = [(f"q{q:03}", f"c{c:03}") for q in range(N_PINS) for c in range(N_PINS)]


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest) -> Database:
    name = "database" if request.param == "sqlite" else "server"
    found: Database = request.getfixturevalue(name)
    return found


def fill(database: Database) -> None:
    """More pairs than a shard holds, none of them made yet."""
    database.replace(candidates, pa.table(dict(zip(KEYS, zip(*PAIRS, strict=True), strict=True))))
    pins = [
        {"feature_version": VERSION, "pin_id": pin, "content_hash": f"{pin}{'0' * 60}",
         "width": 1, "height": 1, "n_objects": 1, "shard": "a"}
        for pin in dict.fromkeys(pin for pair in PAIRS for pin in pair)
    ]  # fmt: skip
    database.replace(pin_visuals, pa.Table.from_pylist(pins))
    database.gather_statistics(candidates, pin_visuals)


def test_a_full_page_of_named_pairs_is_read_in_order(either: Database) -> None:
    fill(either)
    wanted = wanted_pairs(either, VERSION, PAIRS_AT_A_TIME)
    assert len(wanted.changed) == PAIRS_AT_A_TIME < wanted.n_changed == len(PAIRS)
    first, rest = pages(either, VERSION, wanted.changed, wanted.n_changed, PAIRS_AT_A_TIME)
    read = [tuple(row[key] for key in KEYS) for page in (first, rest) for row in page.to_pylist()]
    assert read == sorted(PAIRS)
    assert len(first) == PAIRS_AT_A_TIME


def test_the_rows_of_as_many_named_pairs_go_and_no_others(either: Database) -> None:
    fill(either)
    rows = pa.Table.from_pylist(
        [{"feature_version": version, **dict(zip(KEYS, pair, strict=True)), "inputs": "x"}
         for pair in PAIRS for version in (VERSION, "v2")]
    )  # fmt: skip
    either.replace(pair_features, rows)
    gone = rows_gone(VERSION, PAIRS[:PAIRS_AT_A_TIME], [DAY])
    either.publish([Change(pair_features, [], gone=gone["pair_features"])])
    left = either.read(sa.select(pair_features.c.feature_version, pair_features.c.query_pin_id,
                                 pair_features.c.candidate_pin_id)).to_pylist()  # fmt: skip
    kept = {(row["query_pin_id"], row["candidate_pin_id"])
            for row in left if row["feature_version"] == VERSION}  # fmt: skip
    assert kept == set(PAIRS[PAIRS_AT_A_TIME:])
    assert len(left) == len(kept) + len(PAIRS)
