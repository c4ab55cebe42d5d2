"""The daily feature steps: visuals of new pins, interest of objects, features of pairs."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import sqlalchemy as sa

from features.boxes import EDGES
from features.detector.detector import Detections
from features.engine.engine import Engine, Loop
from features.images.images import Image
from features.images.pin_images import fetched_blocks
from features.pairs.object_interest import refresh_interest
from features.pairs.shards import PairWork, write_pairs
from features.pairs.store import PairStore, PairSummary
from features.visuals.former_shards import convert_shards
from features.visuals.store import Progress, VisualStore, VisualSummary, as_rows
from features.visuals.visuals import PinVisual, VisualExtractor
from sql.database import Database, fingerprint
from sql.tables import candidates, pin_visuals, pins, quarantine, true_boxes

PINS_AT_A_TIME = 16_384


def refresh_visuals(
    database: Database,
    source: Path,
    home: Path,
    extractor: VisualExtractor,
    date: dt.date,
    progress: Progress | None = None,
    engine: Engine | None = None,
) -> VisualSummary:
    """Visuals of every pin in SQL; see VisualStore.refresh. Unreadable images go to quarantine.

    Where the same visuals are there without the extractor's projection, they are projected.
    """
    convert_shards(database, home, extractor.feature_version)
    store = VisualStore(database, home, extractor.feature_version)
    if extractor.projection is not None:
        convert_shards(database, home, extractor.plain_version)
        plain = VisualStore(database, home, extractor.plain_version)
        store.project_from(plain, extractor.projection)
    n_pins = int(database.read("SELECT count(*) AS n FROM pins")["n"][0].as_py())
    blocks = fetched_blocks(database, source.absolute(), home.absolute(), progress)
    summary = store.refresh_blocks(blocks, n_pins, extractor.extract, progress, engine)
    store.drop_unknown()
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
    engine: Engine | None = None,
) -> str | None:
    """Visuals with true boxes where they are known and found ones elsewhere, under a feature
    version of their own, which is returned; None where there are no true boxes.
    """
    version = true_boxes_version(database, extractor.feature_version)
    if version is None:
        return None
    convert_shards(database, home, version)
    boxes = database.read(sa.select(true_boxes).order_by("pin_id", "box_no")).to_pandas()
    boxed = pins.c.pin_id.in_(sa.select(true_boxes.c.pin_id))
    blocks = fetched_blocks(database, source.absolute(), home.absolute(), progress, boxed)
    files = {pin: path for block, _ in blocks for pin, path in block.items()}
    by_file = {str(files[pin]): rows for pin, rows in boxes.groupby("pin_id") if pin in files}
    describe = partial(_describe_with, extractor, by_file)

    store = VisualStore(database, home, version)
    known = {pin: path for pin, path in files.items() if str(path) in by_file}
    store.copy_from(VisualStore(database, home, extractor.feature_version), sorted(known))
    store.refresh(known, describe, progress, keep_others=True, engine=engine)
    return version


def refresh_pairs(
    database: Database,
    home: Path,
    feature_version: str,
    days: Sequence[dt.date],
    progress: Progress | None = None,
    engine: Engine | None = None,
) -> PairSummary:
    """Pair features of every candidate pair and, for each day, pair interest from the crops made
    before it. What was made from the same inputs is not made again; readers see all of it at once,
    at the end.
    """
    store = PairStore(database, home, feature_version)
    states = refresh_interest(database, feature_version, days)
    database.gather_statistics(candidates, pin_visuals)
    wanted = store.wanted()
    todo = store.todo(wanted, states)
    if not todo.moved and not todo.stale:
        store.forget_shards()
        return PairSummary(0, 0)
    store.clear()
    paths, n_done = list[str](), 0

    def tick(n_pairs: int) -> None:
        nonlocal n_done
        n_done += n_pairs
        if progress is not None:
            progress("pairs", n_done, todo.n_pairs)

    def not_made() -> Iterator[PairWork]:
        for work in store.works(todo):
            paths.extend(work.paths.values())
            if store.is_made(work):
                tick(len(work.pairs))
            else:
                yield work

    for made in (engine or Loop()).run(write_pairs, not_made()):
        store.mark(made)
        tick(made.n_pairs)
    return store.publish(wanted, todo, paths)


def _describe_with(
    extractor: VisualExtractor, boxes: Mapping[str, pd.DataFrame], images: Sequence[Image]
) -> list[PinVisual]:
    """Visuals of images with the boxes of their files."""
    return extractor.describe(images, [_as_found(i, boxes[i.uri]) for i in images])


def _as_found(image: Image, boxes: pd.DataFrame) -> Detections:
    return Detections(
        boxes=boxes[EDGES].to_numpy(dtype=np.float32),
        scores=np.ones(len(boxes), dtype=np.float32),
        labels=tuple(boxes["category"]),
        width=image.width,
        height=image.height,
    )
