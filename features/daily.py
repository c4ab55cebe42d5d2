"""The daily feature steps: visuals of new pins, interest of objects, features of pairs."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import sqlalchemy as sa

from features.detector import Detections
from features.images import Image
from features.object_interest import refresh_interest
from features.pair_shards import write_pairs
from features.pair_store import PairStore, PairSummary
from features.remote import RemoteImages, image_files
from features.store import Progress, VisualStore, VisualSummary, as_rows
from features.visuals import PinVisual, VisualExtractor
from sql.database import Database, fingerprint
from sql.tables import pins, quarantine, true_boxes

PINS_AT_A_TIME = 16_384


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
    refused: dict[str, str] = {}
    n_pins = int(database.read("SELECT count(*) AS n FROM pins")["n"][0].as_py())
    blocks = _image_files(database, source, home, refused, progress)
    summary = store.refresh_blocks(blocks, n_pins, extractor.extract, progress)
    store.drop(sorted(refused))
    store.drop_unknown()
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
    these = pins.c.pin_id.in_(sa.select(true_boxes.c.pin_id))
    blocks = _image_files(database, source, home, {}, progress, these)
    files = {pin: path for block in blocks for pin, path in block.items()}
    by_file = {str(files[pin]): rows for pin, rows in boxes.groupby("pin_id") if pin in files}

    def describe(images: Sequence[Image]) -> list[PinVisual]:
        return extractor.describe(images, [_as_found(i, by_file[i.uri]) for i in images])

    store = VisualStore(database, home, version)
    known = {pin: path for pin, path in files.items() if str(path) in by_file}
    store.copy_from(VisualStore(database, home, extractor.feature_version), sorted(known))
    store.refresh(known, describe, progress, keep_others=True)
    return version


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


def _image_files(
    database: Database,
    source: Path,
    home: Path,
    refused: dict[str, str],
    progress: Progress | None,
    where: sa.ColumnElement[bool] | None = None,
) -> Iterator[dict[str, Path]]:
    """(pin -> image file) of the pins, block by block; remote images are kept in the home folder.
    Why the others have none goes into `refused`, by pin.
    """
    tick = None if progress is None else partial(progress, "remote images")
    remote, last = RemoteImages(home / "remote"), sa.true()
    query = sa.select(pins.c.pin_id, pins.c.image).order_by("pin_id").limit(PINS_AT_A_TIME)
    query = query if where is None else query.where(where)
    while rows := database.read(query.where(last)).to_pylist():
        images = {row["pin_id"]: row["image"] for row in rows}
        files, none = image_files(images, source, remote, tick)
        refused |= none
        yield files
        last = pins.c.pin_id > rows[-1]["pin_id"]


def _as_found(image: Image, boxes: pd.DataFrame) -> Detections:
    return Detections(
        boxes=boxes[["x1", "y1", "x2", "y2"]].to_numpy(dtype=np.float32),
        scores=np.ones(len(boxes), dtype=np.float32),
        labels=tuple(boxes["category"]),
        width=image.width,
        height=image.height,
    )
