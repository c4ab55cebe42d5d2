"""Small dirty logs, drawn at random, and the rules for them written down plainly."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from sql.contract import INPUTS
from sql.source import Rows, read_input

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 11, 3)  # the end of the day that is ingested, without zone
TIME = pa.timestamp("us", "UTC")
ARROW = {"text": pa.string(), "real": pa.float64(), "whole": pa.int64(), "time": TIME}

Log = dict[str, list[dict[str, Any]]]


def _rows(name: str, n: int, **values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    columns = {field.name: values[field.name] for field in INPUTS[name].fields}
    return st.lists(st.fixed_dictionaries(columns), max_size=n)


def _ids(letter: str, n: int) -> st.SearchStrategy[str | None]:
    return st.sampled_from([f"{letter}{i}" for i in range(n)] * 4 + [None, ""])


_time = st.integers(0, 5 * 12).map(lambda h: START + timedelta(hours=h) if h else None)
_real = st.sampled_from([0.0, 1.5, -1.0, float("nan"), float("inf"), None] + [0.5, 1.0] * 6)
_pin = _ids("p", 3)

logs = st.fixed_dictionaries(
    {
        "pins": _rows(
            "pins", 6, pin_id=_pin, image=_ids("i", 3), title=_ids("t", 2), board=_ids("b", 2),
            created_at=_time,
        ),
        "requests": _rows(
            "requests", 6, request_id=_ids("r", 3), user_id=_ids("u", 2), query_pin_id=_pin,
            requested_at=_time,
            policy=st.sampled_from(["production", "random"] * 4 + ["other", None]),
            platform=st.sampled_from(["ios", None]),
        ),
        "impressions": _rows(
            "impressions", 10, request_id=_ids("r", 3), candidate_pin_id=_pin,
            position=st.sampled_from([1, 2, 3] * 4 + [-1, 0, None]), propensity=_real,
        ),
        "engagements": _rows(
            "engagements", 12, request_id=_ids("r", 3), candidate_pin_id=_pin,
            action=st.sampled_from(["save", "click"] * 4 + ["like", None]), engaged_at=_time,
        ),
        "candidates": _rows(
            "candidates", 6, query_pin_id=_pin, candidate_pin_id=_pin, source=_ids("s", 2),
        ),
        "crops": _rows(
            "crops", 6, crop_id=_ids("c", 3), user_id=_ids("u", 2), pin_id=_pin,
            x1=_real, y1=_real, x2=_real, y2=_real, cropped_at=_time,
        ),
    }
)  # fmt: skip


def write_log(log: Log, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, rows in log.items():
        schema = pa.schema([(f.name, ARROW[f.kind]) for f in INPUTS[name].fields])
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{name}.parquet")


def read_log(log: Log, folder: Path) -> dict[str, Rows]:
    write_log(log, folder)
    return {n: read_input(folder / f"{n}.parquet", c) for n, c in INPUTS.items()}


def plainly_kept(log: Log) -> dict[str, set[tuple[Any, ...]]]:
    """The keys of the pins, requests, impressions and engagements to be kept, one row at a time."""
    pins = {
        p["pin_id"] for p in log["pins"] if p["pin_id"] and p["image"] and _known(p, "created_at")
    }
    requests: dict[str, datetime] = {}
    for r in _in_order(log["requests"], "requested_at"):
        whole = r["request_id"] and r["user_id"] and r["query_pin_id"] in pins
        if whole and r["policy"] in ("production", "random"):
            requests.setdefault(r["request_id"], r["requested_at"])
    shown: dict[tuple[str, str], int] = {}
    key = "request_id", "candidate_pin_id"
    rows = [
        i for i in log["impressions"] if (i["position"] or 0) >= 1 and _is_share(i["propensity"])
    ]
    for i in sorted(rows, key=lambda i: (str(i[key[1]]), i["position"])):
        if i[key[0]] in requests and i[key[1]]:
            shown.setdefault((i[key[0]], i[key[1]]), i["position"])
    taken: dict[tuple[str, int], str] = {}
    for (request, candidate), position in sorted(shown.items()):
        taken.setdefault((request, position), candidate)
    impressions = {(request, candidate) for (request, _), candidate in taken.items()}
    engagements = set()
    for e in _in_order(log["engagements"], "engaged_at"):
        if (e[key[0]], e[key[1]]) in impressions and e["action"] in ("save", "click"):
            after = e["engaged_at"] - requests[e[key[0]]]
            if timedelta(0) <= after <= timedelta(hours=24):
                engagements.add((e[key[0]], e[key[1]], e["action"]))
    return {
        "pins": {(p,) for p in pins},
        "requests": {(r,) for r in requests},
        "impressions": impressions,
        "engagements": engagements,
    }


def _known(row: dict[str, Any], time: str) -> bool:
    return row[time] is not None and row[time].replace(tzinfo=None) < END


def _in_order(rows: Iterable[dict[str, Any]], time: str) -> list[dict[str, Any]]:
    return sorted((r for r in rows if _known(r, time)), key=lambda r: r[time])


def _is_share(value: float | None) -> bool:
    return value is None or 0 < value <= 1
