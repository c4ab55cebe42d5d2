"""The daily feature steps: visuals of new pins, interest of objects, features of pairs."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray

from features.detector import Detections
from features.images import Image
from features.interest import Interest, interest_before, match_crops
from features.pair_shards import write_pairs
from features.pair_store import PairStore, PairSummary
from features.pin_images import fetched_files
from features.store import Progress, VisualStore, VisualSummary, as_rows
from features.visuals import PinVisual, VisualExtractor
from sql.database import Database, fingerprint
from sql.tables import object_interest, pin_objects, quarantine, true_boxes

EDGES = ("x1", "y1", "x2", "y2")


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
    fingerprints. A day whose earlier crops, and the objects of the pins cropped, have not changed
    is not written again.
    """
    crops = database.read("SELECT * FROM crops ORDER BY crop_id").to_pandas()
    pins, boxes, pin_hashes = _boxes(database, feature_version, crops)
    crops = crops[crops["pin_id"].isin(pins)]
    crop_hashes = pd.util.hash_pandas_object(crops, index=False).to_numpy()
    crops = crops.assign(pin=pins.get_indexer(pd.Index(crops["pin_id"])))
    matched = match_crops(
        crops[["x1", "y1", "x2", "y2"]].to_numpy(), crops["pin"].to_numpy(), boxes
    )
    states = {}
    for day in days:
        before = (crops["date"] < day).to_numpy()
        seen = crop_hashes[before], pin_hashes[np.unique(crops["pin"].to_numpy()[before])]
        states[day] = fingerprint(*((len(hashes), int(hashes.sum())) for hashes in seen))
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
    before it. What was made from the same inputs is not made again; readers see all of it at once,
    at the end.
    """
    store = PairStore(database, home, feature_version)
    states = refresh_interest(database, feature_version, days)
    wanted = store.wanted()
    todo = store.todo(wanted, states)
    if not todo.moved and not todo.stale:
        store.forget_shards()
        return PairSummary(0, 0)
    store.clear()
    paths, n_done = list[str](), 0
    for work in store.works(todo):
        if not store.is_made(work):
            store.mark(work, write_pairs(work))
        paths += work.paths.values()
        n_done += len(work.pairs)
        if progress is not None:
            progress("pairs", n_done, todo.n_pairs)
    return store.publish(wanted, todo, paths)


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
) -> tuple[pd.Index, NDArray[np.float32], NDArray[np.uint64]]:
    """(pins with objects that were cropped, their boxes `(P, K, 4)` or zeros, hash of each pin's
    objects `(P,)`)."""
    columns = (pin_objects.c[name] for name in ("pin_id", "object_no", "category", *EDGES))
    rows = database.read(
        sa.select(*columns)
        .where(pin_objects.c.feature_version == feature_version)
        .order_by("pin_id", "object_no")
    ).to_pandas()
    rows = rows[rows["pin_id"].isin(set(crops["pin_id"]))]
    pins = pd.Index(rows["pin_id"].unique())
    number = pins.get_indexer(pd.Index(rows["pin_id"]))
    slots = int(rows["object_no"].max()) + 1 if len(rows) else 1
    boxes = np.zeros((len(pins), slots, 4), dtype=np.float32)
    boxes[number, rows["object_no"]] = rows[list(EDGES)]
    hashes = np.zeros(len(pins), dtype=np.uint64)
    np.add.at(hashes, number, pd.util.hash_pandas_object(rows, index=False).to_numpy())
    return pins, boxes, hashes


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
