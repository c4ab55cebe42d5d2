"""The table object_interest: what people's crops before a day say about each object.

Crops and objects are read some cropped pins at a time, so that memory is bounded by these and by
the rows of one day.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray

from features.boxes import EDGES
from features.pairs.interest import interest_before, match_crops
from sql.database import Database, fingerprint
from sql.tables import crops as crops_table
from sql.tables import object_interest, pin_objects

PINS_AT_A_TIME = 1024
_ROWS = pa.schema(
    {"pin_id": pa.string(), "object_no": pa.int64(), "n_croppers": pa.int64(),
     "interest": pa.float64()}
)  # fmt: skip


def refresh_interest(
    database: Database, feature_version: str, days: Sequence[dt.date]
) -> dict[dt.date, str]:
    """Interest of every object, for each day from the crops made before it; returns the days'
    fingerprints. A day whose earlier crops, and the objects of the pins cropped, have not changed
    is not written again.
    """
    states = _states(database, feature_version, days)
    before = database.pieces("object_interest", feature_version)
    for day, state in states.items():
        piece = f"{feature_version}/{day}"
        if before.get(piece) == state:
            continue
        database.forget("object_interest", piece)
        parts = [some.rows(day) for some in _cropped(database, feature_version, before=day)]
        rows = pa.concat_tables([_ROWS.empty_table(), *parts])
        for name, value in (("feature_version", feature_version), ("date", day)):
            rows = rows.append_column(name, pa.repeat(pa.scalar(value), len(rows)))
        n_rows = database.replace(object_interest, rows, feature_version=feature_version, date=day)
        database.mark_done("object_interest", piece, state, n_rows, feature_version=feature_version)
    return states


@dataclass(frozen=True, eq=False)
class Cropped:
    """Some cropped pins with room for K objects each, and all crops of them.

    pins: P pins. boxes: `(P, K, 4)` xyxy, zeros where there is no object. hashes: `(P,)` of each
    pin's objects. crops: C rows of the table, with `pin`, the row of the pin in `pins`.
    """

    pins: pd.Index
    boxes: NDArray[np.float32]
    hashes: NDArray[np.uint64]
    crops: pd.DataFrame

    def rows(self, day: dt.date) -> pa.Table:
        """The rows of object_interest from the crops made before the day, without version and
        date."""
        matched = match_crops(
            self.crops[EDGES].to_numpy(), self.crops["pin"].to_numpy(), self.boxes
        )
        found = interest_before(self.crops, matched, day, self.boxes.shape[:2])
        pin, number = np.nonzero(found.share > 0)
        columns = [self.pins.to_numpy()[pin], number, found.croppers[pin, number],
                   found.share[pin, number]]  # fmt: skip
        return pa.table(
            [pa.array(column, field.type) for column, field in zip(columns, _ROWS, strict=True)],
            schema=_ROWS,
        )

    def states(self, days: NDArray[np.datetime64]) -> NDArray[np.uint64]:
        """Numbers and sums of the hashes of what counts on each day: `(T, 4)`, to be added up."""
        rows = self.crops.drop(columns="pin")
        by_crop = pd.util.hash_pandas_object(rows, index=False).to_numpy()
        number, found = pd.factorize(rows["date"])  # -1 for a crop without a date
        dates = np.append(found.to_numpy(dtype="datetime64[D]"), np.datetime64("NaT"))[number]
        order = np.argsort(dates, kind="stable")
        pins, first = np.unique(self.crops["pin"].to_numpy()[order], return_index=True)
        n_crops, crops = _before(days, dates, by_crop.astype(np.uint64))
        n_pins, objects = _before(days, dates[order][first], self.hashes[pins])
        return np.stack([n_crops, crops, n_pins, objects], axis=1)


def _before(
    days: NDArray[np.datetime64], dates: NDArray[np.datetime64], hashes: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """How many of the dates are before each day, and the sum of their hashes."""
    order = np.argsort(dates, kind="stable")
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(hashes[order])])
    n = np.searchsorted(dates[order], days)
    return n.astype(np.uint64), sums[n]


def _states(
    database: Database, feature_version: str, days: Sequence[dt.date]
) -> dict[dt.date, str]:
    totals = np.zeros((len(days), 4), dtype=np.uint64)
    for some in _cropped(database, feature_version):
        totals += some.states(np.array(days, dtype="datetime64[D]"))
    return {day: fingerprint(*total) for day, total in zip(days, totals.tolist(), strict=True)}


def _cropped(
    database: Database, feature_version: str, before: dt.date | None = None
) -> Iterator[Cropped]:
    """The pins that have objects and were cropped, before a day or ever, some at a time."""
    pin, mine = crops_table.c.pin_id, pin_objects.c.feature_version == feature_version
    early = sa.true() if before is None else crops_table.c.date < before
    pins = sa.select(pin).where(early).distinct().subquery()  # each is looked for once
    there = sa.exists().where(mine, pin_objects.c.pin_id == pins.c.pin_id)
    page = sa.select(pins.c.pin_id).where(there).order_by(pins.c.pin_id).limit(PINS_AT_A_TIME)
    last = sa.true()
    while names := database.read(page.where(last))["pin_id"].to_pylist():
        crops = sa.select(crops_table).where(early, pin.between(names[0], names[-1]))
        objects = sa.select(
            *(pin_objects.c[name] for name in ("pin_id", "object_no", "category", *EDGES))
        ).where(mine, pin_objects.c.pin_id.between(names[0], names[-1]),
                pin_objects.c.pin_id.in_(sa.select(pin).where(early)))  # fmt: skip
        yield _of_pins(
            pd.Index(names),
            database.read(crops).to_pandas(),
            database.read(objects).to_pandas(),
        )
        last = pins.c.pin_id > names[-1]


def _of_pins(pins: pd.Index, crops: pd.DataFrame, objects: pd.DataFrame) -> Cropped:
    crops = crops.assign(pin=pins.get_indexer(pd.Index(crops["pin_id"])))
    number = pins.get_indexer(pd.Index(objects["pin_id"]))
    boxes = np.zeros((len(pins), int(objects["object_no"].max()) + 1, 4), dtype=np.float32)
    boxes[number, objects["object_no"]] = objects[EDGES]
    hashes = np.zeros(len(pins), dtype=np.uint64)
    np.add.at(hashes, number, pd.util.hash_pandas_object(objects, index=False).to_numpy())
    return Cropped(pins, boxes, hashes, crops[crops["pin"] >= 0])
