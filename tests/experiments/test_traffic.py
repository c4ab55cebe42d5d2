from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from experiments.metrics import METRICS
from experiments.traffic import ratio, traffic_rows
from sql import tables
from sql.database import Database

DAY = date(2026, 11, 8)


def write(database: Database, table: str, rows: list[tuple[object, ...]], columns: str) -> None:
    frame = pd.DataFrame(rows, columns=columns.split())
    database.append(
        tables.METADATA.tables[table], pa.Table.from_pandas(frame, preserve_index=False)
    )


@pytest.fixture
def traffic(database: Database) -> Database:
    """User u opens two production pages and saves on one; v opens one and hides; w's is random."""
    requests = [("r1", "u", "production"), ("r2", "u", "production"), ("r3", "v", "production"),
                ("r4", "w", "random")]  # fmt: skip
    write(database, "requests", [(r, DAY, u, "q", p) for r, u, p in requests],
          "request_id date user_id query_pin_id policy")  # fmt: skip
    shown = [(r, c, DAY) for r, cs in {"r1": "ab", "r2": "ac", "r3": "bc", "r4": "abc"}.items()
             for c in cs]  # fmt: skip
    write(database, "impressions", shown, "request_id candidate_pin_id date")
    done = [("r1", "a", "save"), ("r1", "b", "save"), ("r1", "a", "click"), ("r3", "b", "hide")]
    write(database, "engagements", [(*row, DAY) for row in done],
          "request_id candidate_pin_id action date")  # fmt: skip
    late = [("r2", "a", "save", DAY + timedelta(days=1)), ("r2", "b", "save", DAY)]
    write(database, "engagements", late, "request_id candidate_pin_id action date")
    pins = [("a", datetime(2026, 11, 1)), ("b", datetime(2026, 10, 31, 23)), ("c", None)]
    write(database, "pins", pins, "pin_id created_at")
    visuals = [("v1", "a", "bag"), ("v1", "b", "bag"), ("v1", "c", None), ("v0", "c", "shoes")]
    write(database, "pin_visuals", visuals, "feature_version pin_id dominant_category")
    return database


def found(database: Database, policy: str) -> dict[str, float]:
    rows = traffic_rows(database, DAY - timedelta(days=1), DAY, "v1")
    return {r["metric"]: r["value"] for r in rows if r["policy"] == policy}


def test_every_metric_by_hand(traffic: Database) -> None:
    assert found(traffic, "production") == pytest.approx({
        "save": 2 / 3, "click": 1 / 3, "long_click": 0, "closeup": 0, "hide": 1 / 3,
        "diversity": (0 + 0.5 + 0.5) / 3, "new_pin_share": (0.5 + 0.5 + 0) / 3,
        "save_propensity": 1 / 2,
    })  # fmt: skip
    random = found(traffic, "random")
    assert random["diversity"] == pytest.approx(1 - 4 / 9 - 1 / 9)
    assert (random["save_propensity"], random["new_pin_share"]) == (0, pytest.approx(1 / 3))


def test_there_is_a_row_per_policy_and_metric_with_its_sizes(traffic: Database) -> None:
    rows = traffic_rows(traffic, DAY, DAY, "v1")
    assert [(r["policy"], r["metric"]) for r in rows] == [
        (policy, name) for policy in ("production", "random") for name in METRICS
    ]
    sizes = {r["policy"]: (r["n_requests"], r["n_users"]) for r in rows}
    assert sizes == {"production": (3, 2), "random": (1, 1)}


def test_days_without_traffic_have_no_rows(traffic: Database) -> None:
    day = date(2026, 11, 1)
    assert traffic_rows(traffic, day, day, "v1") == []


def test_a_clustered_ratio_covers_what_it_estimates() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(1000):
        n = rng.poisson(3, 400) + 1
        acts = rng.binomial(n, rng.beta(2, 8, 400))
        value, error = ratio(acts.astype(float), n.astype(float))
        covered += abs(value - 0.2) < 1.96 * error
    assert 0.93 <= covered / 1000 <= 0.97
