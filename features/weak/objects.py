"""Weak objects: boxes with labels for a detector to learn from, made from people's crops alone."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray

from features.boxes import EDGES
from features.detector.catalogue import foreground_boxes
from features.embedding.embedding import Embedder
from features.images.images import Image, UnreadableImage, load_image
from features.images.pin_images import fetched_files
from features.visuals.store import Progress
from features.weak.annotations import Annotations, annotate
from features.weak.body import fits, on_body, one_of_each
from features.weak.boxes import JUNK, WeakBoxes, clipped, junk, tightened, weak_boxes
from features.weak.labels import learned, places, votes
from features.weak.looks import Looks
from sql.database import Database
from sql.tables import crops as crops_table
from sql.tables import pins as pins_table
from sql.tables import weak_objects

SURE = 0.5  # box confidence from which a box is kept
PER_CATEGORY = 200  # annotated pins looked at, per category
SHOWN = 0.01  # least share that is written down


@dataclass(frozen=True, eq=False)
class WeakObjects:
    """What was made. objects: one row each, columns as in the table `weak_objects` besides
    image, width and height of the pin. files: the image file of each pin. set_aside: crops and
    boxes not used, by reason."""

    objects: pd.DataFrame
    files: Mapping[str, Path]
    set_aside: Mapping[str, int]


def make_weak_objects(
    database: Database,
    source: Path,
    home: Path,
    embedder: Embedder,
    day: dt.date,
    progress: Progress | None = None,
) -> WeakObjects:
    """Weak objects of all pins from the crops up to and including a UTC day; also written to the
    table `weak_objects`, in place of what it held.

    Raises ValueError where no crop up to that day marks an object.
    """
    query = sa.select(crops_table).where(crops_table.c.date <= day).order_by("crop_id")
    crops = database.read(query).to_pandas()
    if not len(crops):
        raise ValueError(
            f"There is no crop up to {day}; run `related-pins ingest` or name a later day."
        )
    pins = database.read(sa.select(pins_table).order_by("pin_id")).to_pandas()
    files, _ = fetched_files(database, source, home, progress)
    pins["path"] = pins["pin_id"].map(files)
    pins = pins.dropna(subset="path").reset_index(drop=True)
    objects, set_aside = boxed(crops, pins, progress)
    if not len(objects):
        raise ValueError(f"No crops up to {day} mark an object; name a later day.")
    words = annotate(pins["title"].tolist(), pins["board"].tolist())
    objects = labelled(objects, pins, words, Looks(home / "looks", embedder), progress)
    sizes = objects[["width", "height"]].to_numpy(dtype=np.float64)
    objects[EDGES] = tightened(objects[EDGES].to_numpy(), sizes)
    objects["date"] = day
    objects = objects.sort_values(
        ["pin_id", "box_confidence", "n_users", *EDGES],
        ascending=[True, False, False, True, True, True, True], ignore_index=True,
    )  # fmt: skip
    objects["object_no"] = objects.groupby("pin_id").cumcount()
    rows = pa.Table.from_pandas(objects[list(weak_objects.columns.keys())], preserve_index=False)
    database.replace(weak_objects, rows)
    return WeakObjects(objects, files, set_aside)


def boxed(
    crops: pd.DataFrame, pins: pd.DataFrame, progress: Progress | None = None
) -> tuple[pd.DataFrame, dict[str, int]]:
    """(weak boxes that are sure enough, with their pin's columns; what was set aside by reason)."""
    files = pins.set_index("pin_id")
    aside: Counter[str] = Counter()
    found = []
    groups = crops.groupby("pin_id", sort=True)
    for number, (pin, rows) in enumerate(groups, start=1):
        if progress is not None:
            progress("weak boxes", number, len(groups))
        size = _size(files["path"].get(pin))
        if size is None:
            aside["crops: no readable image"] += len(rows)
            continue
        boxes = rows[EDGES].to_numpy(dtype=np.float64)
        reasons = junk(boxes, *size)
        aside.update(f"crops: {JUNK[reason]}" for reason in reasons[reasons >= 0])
        usable = reasons < 0
        users = rows["user_id"].to_numpy(dtype=object)[usable]
        weak = weak_boxes(users, clipped(boxes[usable], *size))
        sure = weak.at_least(SURE)
        alone = int((weak.n_users == 1).sum() - (sure.n_users == 1).sum())
        aside["boxes: isolated, of one user"] += alone
        aside["boxes: of too few users"] += len(weak.boxes) - len(sure.boxes) - alone
        found.append(_box_rows(str(pin), files["image"][pin], size, sure))
    objects = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
    return objects, {k: n for k, n in sorted(aside.items()) if n}


def labelled(
    objects: pd.DataFrame,
    pins: pd.DataFrame,
    words: Annotations,
    looks: Looks,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """The objects with category, label_confidence, labels_json and annotations_json."""
    known = look_at(words)
    counted = _step(progress, "annotated pins", len(known))
    seen, unread = looks.of(pins["path"].iloc[known].tolist(), _whole, counted)
    known = np.array([row for n, row in enumerate(known) if n not in unread], dtype=np.int64)
    vectors = np.concatenate(seen) if seen else np.zeros((0, looks.embedder.dimension), np.float32)
    groups = [rows for _, rows in objects.groupby("pin_id", sort=False)]
    paths = pins.set_index("pin_id")["path"]
    own, _ = looks.of(
        [paths[rows["pin_id"].iloc[0]] for rows in groups],
        lambda number, _image: groups[number][EDGES].to_numpy(),
        _step(progress, "cropped pins", len(groups)),
    )
    place = np.concatenate([
        places(rows[EDGES].to_numpy(), int(rows["width"].iloc[0]), int(rows["height"].iloc[0]))
        for rows in groups
    ])  # fmt: skip
    look = np.concatenate(own)
    same = pd.Index(pins["pin_id"].iloc[known]).get_indexer(pd.Index(objects["pin_id"]))
    voted, weights, rows = votes(look, vectors, words.shares[known], same.astype(np.int64))
    fit = fits(on_body(objects), words.categories)
    shares = learned(voted, look, place, fit)
    shares = one_of_each(shares, pd.factorize(objects["pin_id"])[0], words.categories)
    return objects.assign(
        category=pd.Series([_top(words.categories, row) for row in shares], dtype=object),
        label_confidence=shares.max(axis=1, initial=0),
        labels_json=[_json(words.categories, row) for row in shares],
        annotations_json=[
            _json(words.terms, weight @ words.weights[known[row]])
            for weight, row in zip(weights, rows, strict=True)
        ],
    )


def look_at(words: Annotations) -> NDArray[np.int64]:
    """Rows of the annotated pins to look at: at most 200 per category, evenly spread."""
    picked = [np.zeros(0, dtype=np.int64)]
    top = words.shares.max(axis=1, initial=0)
    for share in words.shares.T:
        rows = np.flatnonzero((share == top) & (share > 0))
        spread = np.linspace(0, len(rows) - 1, min(PER_CATEGORY, len(rows)))
        picked.append(rows[spread.astype(np.int64)])
    return np.unique(np.concatenate(picked))


def _whole(_: int, image: Image) -> NDArray[np.float64]:
    """One box around what is not white, or the whole image."""
    parts = np.array(foreground_boxes(image.pixels) or [(0, 0, image.width, image.height)])
    return np.concatenate([parts[:, :2].min(axis=0), parts[:, 2:].max(axis=0)])[None].astype(float)


def _size(path: Path | None) -> tuple[int, int] | None:
    """Width and height of a readable image."""
    try:
        image = load_image(path) if path is not None else None
    except UnreadableImage:
        return None
    return None if image is None else (image.width, image.height)


def _box_rows(pin: str, image: str, size: tuple[int, int], weak: WeakBoxes) -> pd.DataFrame:
    return pd.DataFrame(weak.boxes, columns=EDGES).assign(
        pin_id=pin, image=image, width=size[0], height=size[1], n_users=weak.n_users,
        n_croppers=weak.n_croppers, box_confidence=weak.confidence,
    )  # fmt: skip


def _top(names: tuple[str, ...], shares: NDArray[np.float64]) -> str | None:
    return names[int(shares.argmax())] if len(shares) and shares.max() > 0 else None


def _json(names: tuple[str, ...], weights: NDArray[np.float64]) -> str:
    """Names and shares of the weights that are at least a hundredth of their sum, falling."""
    total = float(weights.sum())
    order = np.argsort(-weights, kind="stable").tolist()
    named = ((names[i], round(float(weights[i]) / max(total, 1e-12), 4)) for i in order)
    return json.dumps({name: share for name, share in named if share >= SHOWN})


def _step(progress: Progress | None, name: str, total: int) -> Callable[[int], None] | None:
    return None if progress is None else lambda done: progress(name, done, total)
