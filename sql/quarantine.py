"""Rows that were set aside: each with its reason and as it came, under a key that repeats."""

import json
from collections import Counter
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from sql.checks import Verdicts
from sql.database import Database
from sql.tables import quarantine

SLICE = 100_000


def set_aside(database: Database, name: str, verdicts: Verdicts, day: date) -> Counter[str]:
    """Replace the quarantined rows of an input by those of `verdicts`. Their number by reason.

    A row that was set aside before keeps the date on which it was.
    """
    rows = _rows(name, verdicts)
    before = {
        (row["row_key"], row["reason"]): row["date"]
        for row in database.read(
            sa.select(quarantine.c.row_key, quarantine.c.reason, quarantine.c.date).where(
                quarantine.c.source_table == name
            )
        ).to_pylist()
    }
    keys = zip(rows["row_key"].to_pylist(), rows["reason"].to_pylist(), strict=True)
    dates = pa.array([before.get(key, day) for key in keys], pa.date32())
    rows = rows.append_column("date", dates)
    if len(rows) or before:
        database.replace(quarantine, rows, source_table=name)
    return Counter(rows["reason"].to_pylist())


def _rows(name: str, verdicts: Verdicts) -> pa.Table:
    """The quarantine rows of an input; the rows of one key and reason are numbered in the order
    of all their values."""
    rows, where = verdicts.rows, np.flatnonzero(verdicts.codes >= 0)
    typed = rows.typed.take(where).append_column("_row", pa.array(where))
    where = where[:0] if not len(where) else typed.sort_by(
        [(c, "ascending") for c in typed.column_names]
    )["_row"].to_numpy()  # fmt: skip
    seen: Counter[tuple[str, str]] = Counter()
    keys, reasons, texts = [], [], []

    def add(key: str, reason: str, row: object) -> None:
        seen[key, reason] += 1
        number = seen[key, reason] + (reason == "repeated")
        keys.append(key if number == 1 else f"{key}#{number}")
        reasons.append(reason)
        texts.append(json.dumps(row, ensure_ascii=False, default=str))

    for start in range(0, len(where), SLICE):
        part = where[start : start + SLICE]
        raw = _listed(rows.raw.take(part))
        key_parts = zip(*(rows.typed[c].take(part).to_pylist() for c in rows.contract.key),
                        strict=True)  # fmt: skip
        for index, row, parts in zip(part, raw, key_parts, strict=True):
            key = str(index) if None in parts else "/".join(parts)
            add(key, verdicts.reasons[verdicts.codes[index]], row)
    for number, line in enumerate(rows.malformed):
        add(f"line {number}", "bad_line", {"line": line})
    return pa.table(
        {
            "source_table": pa.array([name] * len(keys), pa.string()),
            "row_key": pa.array(keys, pa.string()),
            "reason": pa.array(reasons, pa.string()),
            "row_json": pa.array(texts, pa.string()),
        }
    )


def _listed(raw: pa.Table) -> list[dict[str, Any]]:
    """The rows as JSON can hold them: times as text, NaN and infinity as text."""
    for i, column in enumerate(raw.schema):
        if pa.types.is_temporal(column.type):
            raw = raw.set_column(i, column.name, raw.column(i).cast(pa.string()))
    return [{k: _plain(v) for k, v in row.items()} for row in raw.to_pylist()]


def _plain(value: object) -> object:
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
