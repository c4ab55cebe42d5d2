"""Pins and users that were erased: what of the input must not come back.

Only the SHA-256 of an id is kept, so the list itself names nobody.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from sql.database import Database
from sql.source import Rows
from sql.tables import forgotten

COLUMNS = {"pin": ("pin_id", "query_pin_id", "candidate_pin_id"), "user": ("user_id",)}
Mask = npt.NDArray[np.bool_]
Hashes = dict[str, frozenset[str]]


def id_hash(id: str) -> str:
    """The SHA-256 of an id, hexadecimal.

    >>> id_hash("u1")[:12]
    'bb82030dbc2b'
    """
    return hashlib.sha256(id.encode()).hexdigest()


def remember(database: Database, kind: str, id: str) -> None:
    """Puts a pin or user on the list of what must not come back."""
    row = {"kind": kind, "id_sha256": id_hash(id)}
    now = datetime.now(UTC).replace(tzinfo=None)
    with database.engine.begin() as connection:
        connection.execute(sa.delete(forgotten).filter_by(**row))
        connection.execute(sa.insert(forgotten).values(forgotten_at=now, **row))


def forgotten_hashes(database: Database) -> Hashes:
    """The hashes of the ids that were erased, by kind: pin and user."""
    rows = database.read(sa.select(forgotten.c.kind, forgotten.c.id_sha256)).to_pylist()
    return {k: frozenset(r["id_sha256"] for r in rows if r["kind"] == k) for k in COLUMNS}


def without_forgotten(
    inputs: dict[str, Rows], hashes: Hashes
) -> tuple[dict[str, Rows], dict[str, int]]:
    """The inputs without the rows of erased pins and users, and how many rows that leaves out.

    An erased user's or query pin's requests go with what was shown and done on them, an erased
    pin with the boxes of its image.
    """
    if not any(hashes.values()):
        return inputs, dict.fromkeys(inputs, 0)
    masks = {name: _named(rows, hashes) for name, rows in inputs.items()}
    gone = _values(inputs["requests"], "request_id", masks["requests"])
    for name in ("impressions", "engagements"):
        masks[name] |= _is_in(inputs[name].typed["request_id"], gone)
    images = _values(inputs["pins"], "image", masks["pins"])
    shared = _values(inputs["pins"], "image", ~masks["pins"])
    boxed = inputs["true_boxes"].typed["image"]
    masks["true_boxes"] |= _is_in(boxed, images) & ~_is_in(boxed, shared)
    kept = {name: _kept(rows, masks[name], hashes) for name, rows in inputs.items()}
    return kept, {name: len(rows) - len(kept[name]) for name, rows in inputs.items()}


def _named(rows: Rows, hashes: Hashes) -> Mask:
    """Which rows name an erased pin or user."""
    mask = np.zeros(len(rows.typed), dtype=bool)
    for kind, columns in COLUMNS.items():
        for name in set(columns) & set(rows.typed.column_names):
            ids = pc.unique(rows.typed[name]).drop_null()
            erased = [i for i in ids.to_pylist() if id_hash(i) in hashes[kind]]
            mask |= _is_in(rows.typed[name], pa.array(erased, pa.string()))
    return mask


def _kept(rows: Rows, erased: Mask, hashes: Hashes) -> Rows:
    keep = pa.array(~erased)
    every = hashes["pin"] | hashes["user"]
    lines = [line for line in rows.malformed if not _line_names(line, every)]
    return replace(
        rows, raw=rows.raw.filter(keep), typed=rows.typed.filter(keep), malformed=tuple(lines)
    )


def _line_names(line: str, hashes: Iterable[str]) -> bool:
    return any(id_hash(part.strip(' "')) in hashes for part in line.split(","))


def _values(rows: Rows, name: str, mask: Mask) -> pa.Array:
    return pc.unique(rows.typed[name].filter(pa.array(mask))).drop_null()


def _is_in(values: pa.ChunkedArray, wanted: pa.Array) -> Mask:
    return np.asarray(pc.is_in(values, wanted, skip_nulls=True).to_numpy(), dtype=bool)
