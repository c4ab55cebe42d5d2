import random
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sql.checks import KEPT, NOT_YET, Verdicts, check_all, key_codes
from sql.contract import BOXES, INPUTS
from sql.source import TYPES, Rows
from tests.sql.logs import END, Log, logs, plainly_kept, read_log


def judge(log: Log) -> dict[str, Verdicts]:
    with tempfile.TemporaryDirectory() as folder:
        inputs = read_log(log, Path(folder))
    schema = pa.schema([(f.name, TYPES[f.kind]) for f in BOXES.fields])
    return check_all(
        inputs | {"true_boxes": Rows(BOXES, schema.empty_table(), schema.empty_table())}, END
    )


def keys(verdicts: Verdicts) -> list[tuple[Any, ...]]:
    kept = verdicts.kept()
    return list(zip(*(kept[c].to_pylist() for c in verdicts.rows.contract.key), strict=True))


def reasons(verdicts: Verdicts) -> Counter[str]:
    return Counter(verdicts.reasons[c] for c in verdicts.codes if c >= 0)


@settings(max_examples=100, deadline=None)
@given(logs)
def test_what_is_kept_is_what_the_plain_rules_keep(log: Log) -> None:
    verdicts = judge(log)
    for name, expected in plainly_kept(log).items():
        found = keys(verdicts[name])
        assert set(found) == expected, name
        assert len(found) == len(expected), name


@settings(max_examples=40, deadline=None)
@given(logs, st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(log: Log, seed: int) -> None:
    shuffled = {n: random.Random(seed).sample(rows, len(rows)) for n, rows in log.items()}
    for name, verdicts in judge(log).items():
        again = judge(shuffled)[name]
        order = [(c, "ascending") for c in verdicts.rows.contract.columns]
        assert verdicts.kept().sort_by(order).equals(again.kept().sort_by(order))
        assert reasons(verdicts) == reasons(again)
        assert np.sum(verdicts.codes == NOT_YET) == np.sum(again.codes == NOT_YET)


@settings(max_examples=40, deadline=None)
@given(logs)
def test_what_comes_after_the_date_changes_nothing(log: Log) -> None:
    def before(row: dict[str, Any]) -> bool:
        times = [v for v in row.values() if isinstance(v, datetime)]
        return all(t.replace(tzinfo=None) < END for t in times)

    known = {name: [row for row in rows if before(row)] for name, rows in log.items()}
    for name, verdicts in judge(log).items():
        alone = judge(known)[name]
        assert keys(verdicts) == keys(alone)
        if name in ("pins", "requests", "engagements", "crops"):
            assert np.sum(verdicts.codes == NOT_YET) == len(verdicts.rows) - len(alone.rows)


def base() -> Log:
    """A log in which nothing is wrong."""
    at = datetime(2026, 11, 2, 10, tzinfo=UTC)
    return {
        "pins": [
            {"pin_id": p, "image": f"{p}.jpg", "title": None, "board": None, "created_at": at}
            for p in ("p0", "p1", "p2")
        ],
        "requests": [
            {"request_id": "r0", "user_id": "u0", "query_pin_id": "p0", "requested_at": at,
             "policy": "random", "platform": None},
        ],
        "impressions": [
            {"request_id": "r0", "candidate_pin_id": p, "position": n, "propensity": None}
            for n, p in ((1, "p1"), (2, "p2"))
        ],
        "engagements": [
            {"request_id": "r0", "candidate_pin_id": "p1", "action": "save",
             "engaged_at": at + timedelta(hours=2)},
        ],
        "candidates": [{"query_pin_id": "p0", "candidate_pin_id": "p1", "source": None}],
        "crops": [
            {"crop_id": "c0", "user_id": "u0", "pin_id": "p0", "x1": 0.0, "y1": 0.0, "x2": 9.0,
             "y2": 9.0, "cropped_at": at},
        ],
    }  # fmt: skip


def test_nothing_is_set_aside_where_nothing_is_wrong() -> None:
    assert all((v.codes == KEPT).all() for v in judge(base()).values())


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("pins", {"pin_id": None}, "null_pin_id"),
        ("pins", {"image": ""}, "null_image"),
        ("requests", {"policy": "sponsored"}, "bad_policy"),
        ("requests", {"query_pin_id": "p9"}, "orphan"),
        ("impressions", {"request_id": "r9"}, "orphan"),
        ("impressions", {"position": 0}, "bad_position"),
        ("impressions", {"position": None}, "null_position"),
        ("impressions", {"position": 2**31}, "bad_position"),
        ("impressions", {"position": 2}, "position_taken"),
        ("impressions", {"propensity": 0.0}, "bad_propensity"),
        ("impressions", {"propensity": 1.01}, "bad_propensity"),
        ("impressions", {"propensity": float("nan")}, "bad_propensity"),
        ("engagements", {"action": "like"}, "bad_action"),
        ("engagements", {"candidate_pin_id": "p0"}, "orphan"),
        ("engagements", {"engaged_at": datetime(2026, 11, 2, 9, tzinfo=UTC)}, "before_request"),
        ("candidates", {"query_pin_id": "p9"}, "orphan"),
        ("candidates", {"candidate_pin_id": "p9"}, "orphan"),
        ("crops", {"pin_id": "p9"}, "orphan"),
        ("crops", {"x2": 0.0}, "bad_box"),
        ("crops", {"y2": -1.0}, "bad_box"),
        ("crops", {"x1": float("nan")}, "bad_x1"),
        ("crops", {"x2": float("inf")}, "bad_x2"),
        ("crops", {"cropped_at": None}, "null_cropped_at"),
    ],
)
def test_each_reason(name: str, change: dict[str, Any], reason: str) -> None:
    log = base()
    log[name][0] |= change
    assert reasons(judge(log)[name]) == {reason: 1}


def test_an_action_counts_for_exactly_a_day() -> None:
    log = base()
    log["requests"][0]["requested_at"] = datetime(2026, 11, 1, 10, tzinfo=UTC)
    log["engagements"][0]["engaged_at"] = datetime(2026, 11, 2, 10, tzinfo=UTC)
    assert reasons(judge(log)["engagements"]) == {}
    log["engagements"][0]["engaged_at"] += timedelta(microseconds=1)
    assert reasons(judge(log)["engagements"]) == {"late": 1}


def test_of_repeats_the_first_in_time_is_kept() -> None:
    log = base()
    first = log["engagements"][0]
    log["engagements"] = [first | {"engaged_at": first["engaged_at"] + timedelta(hours=h)}
                          for h in (1, 0, 2)]  # fmt: skip
    verdicts = judge(log)["engagements"]
    assert reasons(verdicts) == {"repeated": 2}
    kept = verdicts.kept()["engaged_at"].to_pylist()
    assert kept == [first["engaged_at"].replace(tzinfo=None)]


def test_of_repeated_requests_the_first_in_time_is_kept() -> None:
    log = base()
    (first,) = log["requests"]
    later = first | {"user_id": "a", "requested_at": first["requested_at"] + timedelta(hours=1)}
    log["requests"] = [later, first]
    assert judge(log)["requests"].kept()["user_id"].to_pylist() == ["u0"]


def test_an_action_at_the_instant_of_the_request_is_kept() -> None:
    log = base()
    log["engagements"][0]["engaged_at"] = log["requests"][0]["requested_at"]
    assert reasons(judge(log)["engagements"]) == {}


def test_an_action_belongs_to_its_own_request() -> None:
    log = base()
    log["requests"].append(log["requests"][0] | {"request_id": "r1"})
    log["impressions"].append(log["impressions"][1] | {"request_id": "r1"})
    log["engagements"].append(log["engagements"][0] | {"request_id": "r1"})
    assert reasons(judge(log)["engagements"]) == {"orphan": 1}


def test_the_last_instant_of_the_day_is_known_and_the_next_is_not() -> None:
    log = base()
    log["requests"][0]["requested_at"] = END.replace(tzinfo=UTC) - timedelta(microseconds=1)
    log["engagements"][0]["engaged_at"] = END.replace(tzinfo=UTC)
    verdicts = judge(log)
    assert len(verdicts["requests"].kept()) == 1
    assert len(verdicts["impressions"].kept()) == 2
    assert (verdicts["engagements"].codes == NOT_YET).all()
    log["requests"][0]["requested_at"] = END.replace(tzinfo=UTC)
    verdicts = judge(log)
    assert all((verdicts[n].codes == NOT_YET).all() for n in ("requests", "impressions"))


@given(st.lists(st.tuples(st.text(max_size=2), st.integers(0, 3)), max_size=20))
def test_key_codes_are_equal_and_ordered_as_the_keys(rows: list[tuple[str, int]]) -> None:
    table = pa.table(
        {
            "a": pa.array([r[0] for r in rows], pa.string()),
            "b": pa.array([r[1] for r in rows], pa.int64()),
        }
    )
    codes = key_codes(table, ("a", "b"))
    encoded = [(a.encode(), b) for a, b in rows]
    for i, first in enumerate(encoded):
        for j, second in enumerate(encoded):
            assert (first < second, first == second) == (codes[i] < codes[j], codes[i] == codes[j])


def test_the_contract_and_the_tables_agree() -> None:
    from sql.tables import METADATA

    for name, contract in INPUTS.items():
        columns = METADATA.tables[name].columns
        assert set(contract.columns) | {"date"} >= set(columns.keys())
        assert set(contract.columns) <= set(columns.keys())
        assert contract.key == tuple(c.name for c in columns if c.primary_key)
