"""The daily feature steps: visuals of new pins, interest of objects, features of pairs."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray

from features.detector import Detections
from features.images import Image
from features.interest import (
    Interest,
    expected_interest,
    interest_before,
    match_crops,
    usual_interest,
)
from features.pairs import pair_features, pair_interest, pin_arrays
from features.pin_images import fetched_files
from features.store import Progress, VisualStore, VisualSummary, as_rows
from features.visuals import PinVisual, VisualExtractor
from sql.database import Database, fingerprint
from sql.tables import object_interest, pin_objects, pin_visuals, quarantine, true_boxes
from sql.tables import pair_features as pair_features_table
from sql.tables import pair_interest as pair_interest_table

SCHEMA = 2  # to be raised when the pair features of the same visuals change
PAIRS_AT_A_TIME = 16_384
_USUAL = """
SELECT c.date, o.category, COALESCE(i.interest, 0) AS share
FROM (SELECT DISTINCT date, pin_id FROM object_interest WHERE feature_version = :version) AS c
JOIN pin_objects AS o ON o.feature_version = :version AND o.pin_id = c.pin_id
LEFT JOIN object_interest AS i ON i.feature_version = :version AND i.date = c.date
    AND i.pin_id = o.pin_id AND i.object_no = o.object_no
WHERE c.date IN :days
"""
EDGES = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True)
class PairSummary:
    """Rows that a refresh wrote to pair_features and, over all days, to pair_interest."""

    pairs: int
    interest: int


def refresh_visuals(
    database: Database,
    source: Path,
    home: Path,
    extractor: VisualExtractor,
    date: dt.date,
    progress: Progress | None = None,
) -> VisualSummary:
    """Visuals of every pin in SQL; see VisualStore.refresh. Unreadable images go to quarantine.

    Where the same visuals are there without the extractor's projection, they are projected.
    """
    store = VisualStore(database, home, extractor.feature_version)
    if extractor.projection is not None:
        plain = VisualStore(database, home, extractor.plain_version)
        store.project_from(plain, extractor.projection)
    files, refused = fetched_files(database, source, home, progress)
    summary = store.refresh(files, extractor.extract, progress)
    summary = replace(summary, unreadable={**summary.unreadable, **refused})
    rows: list[dict[str, object]] = [
        {"source_table": "image", "row_key": pin, "reason": reason, "row_json": None, "date": date}
        for pin, reason in sorted(summary.unreadable.items())
    ]
    database.replace(quarantine, as_rows(quarantine, rows), source_table="image")
    return summary


def true_boxes_version(database: Database, feature_version: str) -> str | None:
    """The feature version in which true boxes stand in for found ones; None without true boxes."""
    boxes = database.read(sa.select(true_boxes).order_by("pin_id", "box_no"))
    return fingerprint(feature_version, boxes.to_pylist()) if boxes.num_rows else None


def refresh_true_visuals(
    database: Database,
    source: Path,
    home: Path,
    extractor: VisualExtractor,
    progress: Progress | None = None,
) -> str | None:
    """Visuals with true boxes where they are known and found ones elsewhere, under a feature
    version of their own, which is returned; None where there are no true boxes.
    """
    version = true_boxes_version(database, extractor.feature_version)
    if version is None:
        return None
    boxes = database.read(sa.select(true_boxes).order_by("pin_id", "box_no")).to_pandas()
    files, _ = fetched_files(database, source, home, progress)
    by_file = {str(files[pin]): rows for pin, rows in boxes.groupby("pin_id") if pin in files}

    def describe(images: Sequence[Image]) -> list[PinVisual]:
        return extractor.describe(images, [_as_found(i, by_file[i.uri]) for i in images])

    store = VisualStore(database, home, version)
    known = {pin: path for pin, path in files.items() if str(path) in by_file}
    store.copy_from(VisualStore(database, home, extractor.feature_version), sorted(known))
    store.refresh(known, describe, progress, keep_others=True)
    return version


def refresh_interest(
    database: Database, feature_version: str, days: Sequence[dt.date]
) -> dict[dt.date, str]:
    """Interest of every object, for each day from the crops made before it; returns the days'
    fingerprints. A day whose boxes and earlier crops have not changed is not written again.
    """
    crops = database.read("SELECT * FROM crops ORDER BY crop_id").to_pandas()
    pins, boxes, boxes_hash = _boxes(database, feature_version, crops)
    crops = crops.assign(pin=pins.get_indexer(pd.Index(crops["pin_id"])))
    crops = crops[crops["pin"] >= 0]
    matched = match_crops(
        crops[["x1", "y1", "x2", "y2"]].to_numpy(), crops["pin"].to_numpy(), boxes
    )
    states = {}
    for day in days:
        seen = pd.util.hash_pandas_object(crops[crops["date"] < day], index=False)
        states[day] = fingerprint(boxes_hash, len(seen), int(seen.sum()))
        piece = f"{feature_version}/{day}"
        if database.is_done("object_interest", piece, states[day]):
            continue
        database.forget("object_interest", piece)
        rows = _interest_rows(interest_before(crops, matched, day, boxes.shape[:2]), pins)
        rows = _keyed(rows, feature_version, day)
        n_rows = database.replace(object_interest, rows, feature_version=feature_version, date=day)
        database.mark_done(
            "object_interest", piece, states[day], n_rows, feature_version=feature_version
        )
    return states


def refresh_pairs(
    database: Database,
    home: Path,
    feature_version: str,
    days: Sequence[dt.date],
    progress: Progress | None = None,
) -> PairSummary:
    """Pair features of every candidate pair and, for each day, pair interest from the crops made
    before it. What was made from the same inputs is not made again.
    """
    interest = refresh_interest(database, feature_version, days)
    candidates = database.read(
        "SELECT query_pin_id, candidate_pin_id FROM candidates ORDER BY 1, 2"
    ).to_pandas()
    inputs = pairs_fingerprint(database, feature_version, candidates)
    states = {day: fingerprint(inputs, state) for day, state in interest.items()}
    stale = [
        day for day in days
        if not database.is_done("pair_interest", f"{feature_version}/{day}", states[day])
    ]  # fmt: skip
    fresh = database.is_done("pair_features", feature_version, inputs)
    store = VisualStore(database, home, feature_version)
    if not fresh:
        database.forget("pair_features", feature_version)
        database.replace(pair_features_table, as_rows(pair_features_table, []),
                         feature_version=feature_version)  # fmt: skip
    database.forget("pair_interest", *(f"{feature_version}/{day}" for day in stale))
    for day in stale:
        database.replace(pair_interest_table, as_rows(pair_interest_table, []),
                         feature_version=feature_version, date=day)  # fmt: skip
    n_pairs, n_interest = 0, dict.fromkeys(stale, 0)
    usual = _usual_by_day(database, feature_version, stale)
    starts = range(0, len(candidates), PAIRS_AT_A_TIME) if stale or not fresh else ()
    for start in starts:
        block = PairBlock(store, candidates[start : start + PAIRS_AT_A_TIME])
        n_pairs += block.write_features() if not fresh else 0
        for day, n_rows in block.write_interest(usual).items():
            n_interest[day] += n_rows
        if progress is not None:
            progress("pairs", min(start + PAIRS_AT_A_TIME, len(candidates)), len(candidates))
    if not fresh:
        database.mark_done("pair_features", feature_version, inputs, n_pairs,
                           feature_version=feature_version)  # fmt: skip
    for day in stale:
        database.mark_done("pair_interest", f"{feature_version}/{day}", states[day],
                           n_interest[day], feature_version=feature_version)  # fmt: skip
    return PairSummary(n_pairs, sum(n_interest.values()))


class PairBlock:
    """Some candidate pairs with the visuals of their pins; memory is bounded by the block."""

    def __init__(self, store: VisualStore, candidates: pd.DataFrame) -> None:
        self.store = store
        wanted = pd.unique(candidates[["query_pin_id", "candidate_pin_id"]].to_numpy().ravel())
        visuals = store.read(list(wanted))
        index = pd.Index(list(visuals))
        query = index.get_indexer(pd.Index(candidates["query_pin_id"]))
        candidate = index.get_indexer(pd.Index(candidates["candidate_pin_id"]))
        known = (query >= 0) & (candidate >= 0)
        self.pairs = candidates[known]
        self.query, self.candidate, self.index = query[known], candidate[known], index
        self.pins = pin_arrays(list(visuals.values())) if visuals else None
        self.categories = [name for v in visuals.values() for name in v.categories]

    def write_features(self) -> int:
        """Appends the block's rows of pair_features; returns how many."""
        if self.pins is None:
            return 0
        columns = pair_features(self.pins, self.query, self.candidate)
        rows = self._rows(columns, np.ones(len(self.query), dtype=bool))
        return self.store.database.append(pair_features_table, rows)

    def write_interest(self, usual: Mapping[dt.date, Mapping[str, float]]) -> dict[dt.date, int]:
        """Appends the block's rows of pair_interest for each day, given the usual interest in each
        category; returns how many. Query pins without objects have none.
        """
        if self.pins is None or not usual:
            return {}
        share, croppers = self._interest(usual)
        by_day = pair_interest(self.pins, self.query, self.candidate, share, croppers)
        has_objects = self.pins.objects[self.query, 0] != self.pins.none
        written = {}
        for number, day in enumerate(usual):
            rows = self._rows({name: v[number] for name, v in by_day.items()}, has_objects)
            rows = rows.append_column("date", pa.array([day] * len(rows), pa.date32()))
            written[day] = self.store.database.append(pair_interest_table, rows)
        return written

    def _interest(
        self, usual: Mapping[dt.date, Mapping[str, float]]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Interest `(T, P, K)` expected in the pins' objects and croppers `(T, P)`, for T days."""
        assert self.pins is not None
        days = list(usual)
        query = sa.select(object_interest).where(
            object_interest.c.feature_version == self.store.feature_version,
            object_interest.c.date.in_(days),
        )
        rows = self.store.database.read(query).to_pandas()
        rows["pin"] = self.index.get_indexer(pd.Index(rows["pin_id"]))
        rows = rows[rows["pin"] >= 0]
        day = pd.Index(days).get_indexer(pd.Index(rows["date"]))
        share = np.zeros((len(days), *self.pins.objects.shape), dtype=np.float32)
        croppers = np.zeros(share.shape[:2], dtype=np.int64)
        share[day, rows["pin"], rows["object_no"]] = rows["interest"]
        np.add.at(croppers, (day, rows["pin"]), rows["n_croppers"])
        by_object = [[seen.get(name, 1.0) for name in self.categories] + [0.0]
                     for seen in usual.values()]  # fmt: skip
        prior = np.array(by_object, dtype=np.float32)[:, self.pins.objects]
        return expected_interest(share, croppers, prior), croppers

    def _rows(
        self, columns: Mapping[str, NDArray[np.float32]], keep: NDArray[np.bool_]
    ) -> pa.Table:
        keys = {name: self.pairs[name][keep] for name in self.pairs.columns}
        values = {
            name: pa.array(column[keep].astype(np.float64), from_pandas=True)
            for name, column in columns.items()
        }
        version = [self.store.feature_version] * int(keep.sum())
        return pa.table({"feature_version": pa.array(version, pa.string()), **keys, **values})


def _usual_by_day(
    database: Database, feature_version: str, days: Sequence[dt.date]
) -> dict[dt.date, dict[str, float]]:
    """Usual interest in each category by day; empty for a day before the first crop."""
    if not days:
        return {}
    rows = database.read(_USUAL, version=feature_version, days=list(days)).to_pandas()
    return {day: usual_interest(rows[rows["date"] == day]) for day in days}


def _as_found(image: Image, boxes: pd.DataFrame) -> Detections:
    return Detections(
        boxes=boxes[["x1", "y1", "x2", "y2"]].to_numpy(dtype=np.float32),
        scores=np.ones(len(boxes), dtype=np.float32),
        labels=tuple(boxes["category"]),
        width=image.width,
        height=image.height,
    )


def _boxes(
    database: Database, feature_version: str, crops: pd.DataFrame
) -> tuple[pd.Index, NDArray[np.float32], str]:
    """(pins with objects that were cropped, their boxes `(P, K, 4)` or zeros, hash of it all)."""
    rows = database.read(
        sa.select(pin_objects.c.pin_id, pin_objects.c.object_no, *(pin_objects.c[e] for e in EDGES))
        .where(pin_objects.c.feature_version == feature_version)
        .order_by("pin_id", "object_no")
    ).to_pandas()
    rows = rows[rows["pin_id"].isin(set(crops["pin_id"]))]
    pins = pd.Index(rows["pin_id"].unique())
    slots = int(rows["object_no"].max()) + 1 if len(rows) else 1
    boxes = np.zeros((len(pins), slots, 4), dtype=np.float32)
    boxes[pins.get_indexer(pd.Index(rows["pin_id"])), rows["object_no"]] = rows[list(EDGES)]
    hashes = pd.util.hash_pandas_object(rows, index=False)
    return pins, boxes, fingerprint(len(rows), int(hashes.sum()))


def _interest_rows(found: Interest, pins: pd.Index) -> pa.Table:
    pin, number = np.nonzero(found.share > 0)
    return pa.table(
        {
            "pin_id": pa.array(pins.to_numpy()[pin], pa.string()),
            "object_no": pa.array(number, pa.int64()),
            "n_croppers": pa.array(found.croppers[pin, number], pa.int64()),
            "interest": pa.array(found.share[pin, number], pa.float64()),
        }
    )


def _keyed(rows: pa.Table, feature_version: str, date: dt.date) -> pa.Table:
    versions = pa.array([feature_version] * rows.num_rows, pa.string())
    dates = pa.array([date] * rows.num_rows, pa.date32())
    return rows.append_column("feature_version", versions).append_column("date", dates)


def pairs_fingerprint(database: Database, feature_version: str, candidates: pd.DataFrame) -> str:
    """A hash of what pair_features of these pairs (query_pin_id, candidate_pin_id) is made from."""
    places = database.read(
        sa.select(pin_visuals.c.pin_id, pin_visuals.c.content_hash)
        .where(pin_visuals.c.feature_version == feature_version)
        .order_by("pin_id")
    ).to_pandas()
    hashes = [
        int(pd.util.hash_pandas_object(rows, index=False).sum()) for rows in (places, candidates)
    ]
    return fingerprint(SCHEMA, feature_version, len(places), len(candidates), *hashes)
