from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from experiments.production import examination_curves
from sql import tables
from sql.database import Database

DAY = date(2026, 11, 8)
THETA = np.array([1.0, 0.6, 0.3])


def fill(database: Database, n: int, policies: tuple[str, ...] = ("production", "random")) -> None:
    """Production shows four candidates by relevance with some noise, random order at random."""
    rng = np.random.default_rng(0)
    relevance = np.array([0.8, 0.6, 0.4, 0.2])
    requests, shown, done = [], [], []
    for i in range(n):
        policy = policies[i % len(policies)]
        noise = rng.gumbel(size=4) * (0.3 if policy == "production" else 1e6)
        order = np.argsort(-(relevance + noise))[:3]
        requests.append((f"r{i}", DAY, f"u{i % 50}", f"q{i % 5}", policy, "ios"))
        shown += [(f"r{i}", f"c{c}", DAY, k + 1) for k, c in enumerate(order)]
        acts = rng.random(3) < THETA * relevance[order]
        done += [(f"r{i}", f"c{c}", "save", DAY) for c in order[acts]]
    for table, rows, columns in (
        ("requests", requests, "request_id date user_id query_pin_id policy platform"),
        ("impressions", shown, "request_id candidate_pin_id date position"),
        ("engagements", done, "request_id candidate_pin_id action date"),
    ):
        frame = pd.DataFrame(rows, columns=columns.split())
        database.append(
            tables.METADATA.tables[table], pa.Table.from_pandas(frame, preserve_index=False)
        )


def test_production_and_random_order_find_the_same_curve(database: Database) -> None:
    fill(database, 12_000)
    curves = examination_curves(database, DAY, 10**6)
    assert curves["position"].tolist() == [1, 2, 3]
    assert curves["n_production"].tolist() == [6_000] * 3
    for column in ("random_order", "regression_em", "adjacent_chain"):
        np.testing.assert_allclose(curves[column], THETA, atol=0.04)


def test_without_production_traffic_it_says_so(database: Database) -> None:
    fill(database, 200, ("random",))
    with pytest.raises(ValueError, match="no production traffic up to 2026-11-08"):
        examination_curves(database, DAY, 10**6)
