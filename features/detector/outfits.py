"""Boxes of street outfits that nobody boxed: what a detector finds in a photo and in its mirror
image (self-training: Lee 2013, "Pseudo-Label"; Sohn et al. 2020, arXiv 2005.04757)."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.optimize import linear_sum_assignment

from features.boxes import iou
from features.detector.catalogue import Box, Detect, coco_file
from features.detector.detector import Detections
from features.images.images import Image, load_image
from sql.columns import CATEGORIES

BOARD = "outfits"
BOXED, HELD_OUT = "boxes_train.json", "boxes_val.json"
SAME = 0.5

Found = Sequence[tuple[str, Box, float]]


def outfit_boxes(fashion: Path, detect: Detect) -> dict[str, Any]:
    """COCO-format boxes of the pins on BOARD that neither BOXED nor HELD_OUT names; file names are
    relative to `fashion`.

    Of each category as many boxes per photo as people drew in BOXED are kept, the surest first:
    one threshold for all would teach that what is seldom found is seldom there.
    """
    photos, found = [], []
    for name in unboxed_photos(fashion):
        image = load_image(fashion / name)
        photos.append((name, image.width, image.height))
        found.append(agreed(image, detect))
    least = least_scores(found, boxes_per_photo(json.loads((fashion / BOXED).read_text())))
    kept = [
        [(label, box) for label, box, score in objects if score >= least.get(label, np.inf)]
        for objects in found
    ]
    return coco_file([(*photo, k) for photo, k in zip(photos, kept, strict=True)], CATEGORIES)


def unboxed_photos(fashion: Path) -> list[str]:
    """File names of the pins on BOARD in neither BOXED nor HELD_OUT, by pin_id."""
    boxed = {
        photo["file_name"]
        for file in (fashion / BOXED, fashion / HELD_OUT)
        if file.exists()
        for photo in json.loads(file.read_text())["images"]
    }
    pins = pq.read_table(fashion / "pins.parquet", columns=["pin_id", "image", "board"]).to_pandas()
    names = pins[pins["board"] == BOARD].sort_values("pin_id")["image"]
    return [name for name in names if name not in boxed]


def agreed(image: Image, detect: Detect) -> list[tuple[str, Box, float]]:
    """(category, xyxy box, score) of what is found in a photo and, in the same place and of the
    same category, in its mirror image: means of both, by falling score."""
    mirrored = replace(image, pixels=np.ascontiguousarray(image.pixels[:, ::-1]))
    straight, mirror = detect([image, mirrored])
    boxes = unmirrored(mirror)
    overlap = iou(straight.boxes[:, None], boxes[None])
    overlap[np.array(straight.labels)[:, None] != np.array(mirror.labels)[None]] = 0
    pairs = zip(*linear_sum_assignment(overlap, maximize=True), strict=True)
    found = [
        (straight.labels[a], (straight.boxes[a] + boxes[b]) / 2,
         float(straight.scores[a] + mirror.scores[b]) / 2)
        for a, b in pairs
        if overlap[a, b] >= SAME
    ]  # fmt: skip
    found.sort(key=lambda row: -row[2])
    return [(label, tuple(box.tolist()), score) for label, box, score in found]


def unmirrored(mirror: Detections) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Boxes `(N, 4)` found in a mirror image, where they lie in the photo."""
    x1, y1, x2, y2 = mirror.boxes.T
    return np.stack([mirror.width - x2, y1, mirror.width - x1, y2], axis=1)


def boxes_per_photo(coco: Mapping[str, Any]) -> dict[str, float]:
    """Boxes per photo of each category of a COCO file.

    >>> boxes_per_photo({"images": [1, 2], "annotations": [{"category_id": 5}] * 3,
    ...                  "categories": [{"id": 5, "name": "hat"}]})
    {'hat': 1.5}
    """
    counts = Counter(row["category_id"] for row in coco["annotations"])
    return {c["name"]: counts[c["id"]] / len(coco["images"]) for c in coco["categories"]}


def least_scores(photos: Sequence[Found], per_photo: Mapping[str, float]) -> dict[str, float]:
    """The score per category from which as many boxes per photo are kept as `per_photo` says;
    categories of which none is to be kept, or none was found, are left out.

    >>> photos = [[("hat", (0, 0, 1, 1), 0.9)], [("hat", (0, 0, 1, 1), 0.4)]]
    >>> least_scores(photos, {"hat": 0.5, "tie": 1.0})
    {'hat': 0.9}
    """
    scores: dict[str, list[float]] = {}
    for found in photos:
        for label, _, score in found:
            scores.setdefault(label, []).append(score)
    counts = {label: round(per_photo.get(label, 0.0) * len(photos)) for label in scores}
    return {
        label: sorted(of, reverse=True)[min(counts[label], len(of)) - 1]
        for label, of in scores.items()
        if counts[label]
    }
