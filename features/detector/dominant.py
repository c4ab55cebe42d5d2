"""The dominant object: which rule picks the one that people crop most."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.boxes import EDGES, area
from features.detector.detector import Detections
from features.detector.evaluation import Detect, OnPhoto
from features.detector.products import Share, share_of
from features.images.images import UnreadableImage, load_image
from features.pairs.interest import interest, match_crops
from features.visuals.visuals import dominance

Floats = NDArray[np.float64]
Rule = Callable[[Floats, Floats, Floats], Floats]

RULES: Mapping[str, Rule] = {
    "score": lambda score, share, closeness: score,
    "area": lambda score, share, closeness: share,
    "score x sqrt(area)": lambda score, share, closeness: dominance(
        score.astype(np.float32), share
    ),
    "score x centre closeness": lambda score, share, closeness: score * closeness,
}


def favourites(crops: pd.DataFrame, found: Detections) -> int | None:
    """Number of the object that most users cropped; None where that is no object, or several.

    crops: user_id and x1, y1, x2, y2 in pixels, of one photo.
    """
    boxes = np.asarray(found.boxes, dtype=np.float32)[None]
    pin = np.zeros(len(crops), dtype=np.int64)
    if not len(found.boxes):
        return None
    matched = match_crops(crops[EDGES].to_numpy(np.float64), pin, boxes)
    users = crops["user_id"].to_numpy(dtype=object)
    croppers = interest(users, pin, matched, boxes.shape[:2]).croppers[0]
    most = np.flatnonzero(croppers == croppers.max())
    return int(most[0]) if len(most) == 1 and croppers.max() else None


def picks(found: Detections) -> dict[str, int]:
    """Rule -> number of the object it picks, of one or more objects.

    Closeness is 1 for a box in the middle of the image and 0 for one in a corner.
    """
    boxes, size = found.boxes.astype(np.float64), np.array([found.width, found.height])
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 / size
    closeness = 1 - np.linalg.norm(middle - 0.5, axis=1) / np.sqrt(0.5)
    share = np.asarray(area(boxes), dtype=np.float64) / size.prod()
    score = found.scores.astype(np.float64)
    return {name: int(rule(score, share, closeness).argmax()) for name, rule in RULES.items()}


def agreement(
    keep: Detect, source: Path, photos: int, on_photo: OnPhoto | None = None
) -> dict[str, Share]:
    """Rule -> share of photos in which it picks the object that most users cropped.

    keep: detections that are worth keeping. source: a folder with pins.parquet and crops.parquet;
    its `photos` pins with the most croppers are looked at, and those count in which two or more
    objects are found and one is cropped by more users than any other. on_photo: called with (done,
    photos) before each.
    """
    truths: list[int] = []
    picked: list[dict[str, int]] = []
    chosen = _most_cropped(source, photos)
    for done, (name, crops) in enumerate(chosen):
        if on_photo is not None:
            on_photo(done, len(chosen))
        try:
            found = keep([load_image(source / name)])[0]
        except UnreadableImage:
            continue
        favourite = favourites(crops, found) if len(found.boxes) > 1 else None
        if favourite is not None:
            truths.append(favourite)
            picked.append(picks(found))
    return {name: _share(truths, [row[name] for row in picked]) for name in RULES}


def _share(truths: Sequence[int], picked: Sequence[int]) -> Share:
    return share_of(truth == pick for truth, pick in zip(truths, picked, strict=True))


def _most_cropped(source: Path, photos: int) -> list[tuple[str, pd.DataFrame]]:
    """(file name, crops) of the pins that most users cropped."""
    columns = ["user_id", "pin_id", *EDGES]
    crops = pq.read_table(source / "crops.parquet", columns=columns).to_pandas().dropna()
    pins = pq.read_table(source / "pins.parquet", columns=["pin_id", "image"]).to_pandas()
    files = pins.dropna().drop_duplicates("pin_id").set_index("pin_id")["image"]
    crops = crops[crops["pin_id"].isin(files.index)]
    users = crops.groupby("pin_id")["user_id"].nunique()
    chosen = users.sort_values(ascending=False, kind="stable").index[:photos]
    groups = dict(list(crops.groupby("pin_id")))
    return [(files[pin], groups[pin]) for pin in chosen]
