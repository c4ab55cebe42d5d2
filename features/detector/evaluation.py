"""How good a detector is on boxes it has not seen, and how long it takes."""

import contextlib
import io
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from features.detector.detector import Detections
from features.images.images import Image, UnreadableImage, load_image

Detect = Callable[[Sequence[Image]], Sequence[Detections]]
Coco = dict[str, Any]
Results = list[dict[str, Any]]
OnPhoto = Callable[[int, int], object]
SIZES = ("small", "medium", "large")
WARM_UP = 3


@dataclass(frozen=True)
class Evaluation:
    """COCO's average precision (https://cocodataset.org/#detection-eval), 0 to 1.

    ap: mean over categories and IoU .50 to .95. ap50, ap75: at one IoU. by_category: name ->
    (ap, ap50, boxes), for categories with boxes. by_size: 'small' (area below 32 x 32 pixels of the
    original), 'medium' or 'large' (from 96 x 96) -> the same, for sizes with boxes; a box on a
    border counts on both sides.
    """

    ap: float
    ap50: float
    ap75: float
    by_category: dict[str, tuple[float, float, int]]
    by_size: dict[str, tuple[float, float, int]]


@dataclass(frozen=True)
class Latency:
    """Milliseconds per image, one image at a time, pixels in memory."""

    median_ms: float
    p99_ms: float


def evaluate(detect: Detect, coco_json: Path, folder: Path, batch_size: int = 8) -> Evaluation:
    """Average precision of `detect` (such as `Detector.detect`) on a COCO file's photos.

    Categories are matched by name; detections of categories the file does not know are left out.
    """
    coco = json.loads(Path(coco_json).read_text())
    return summary(scored(coco, results(detect, coco, folder, batch_size)))


def results(
    detect: Detect,
    coco: Coco,
    folder: Path,
    batch_size: int = 1,
    on_photo: OnPhoto | None = None,
) -> Results:
    """What `detect` finds in the photos of a COCO file, as rows of COCO's result format.

    on_photo: called with (done, photos) after each batch.
    """
    numbers = {category["name"]: category["id"] for category in coco["categories"]}
    rows: Results = []
    for start in range(0, len(coco["images"]), batch_size):
        photos = coco["images"][start : start + batch_size]
        images = [_photo(Path(folder), photo["file_name"]) for photo in photos]
        for photo, found in zip(photos, detect(images), strict=True):
            rows += _rows(photo["id"], found, numbers)
        if on_photo is not None:
            on_photo(start + len(photos), len(coco["images"]))
    return rows


def _photo(folder: Path, name: str) -> Image:
    try:
        return load_image(folder / name)
    except UnreadableImage as error:
        raise UnreadableImage(f"The photo {name} of the COCO file: {error}") from error


def scored(coco: Coco, rows: Results) -> COCOeval:
    """pycocotools' scoring of the rows against the file's boxes, accumulated."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth, found = COCO(), COCO()
        truth.dataset = {"info": {}, **coco}
        truth.createIndex()
        if rows:
            found = truth.loadRes(rows)
        else:
            found.dataset = {**truth.dataset, "annotations": []}
            found.createIndex()
        scoring = COCOeval(truth, found, "bbox")
        scoring.evaluate()
        scoring.accumulate()
    return scoring


def summary(scoring: COCOeval) -> Evaluation:
    """The averages of a `scored` file."""
    precision = scoring.eval["precision"][:, :, :, :, -1]  # (IoU, recall, category, size)
    truth = [row for row in scoring.cocoGt.dataset["annotations"] if not row.get("iscrowd")]
    by_category, by_size = {}, {}
    for column, category in enumerate(scoring.params.catIds):
        boxes = sum(row["category_id"] == int(category) for row in truth)
        if boxes:
            seen = precision[:, :, column, 0]
            name = scoring.cocoGt.cats[category]["name"]
            by_category[name] = (_mean(seen), _mean(seen[0]), boxes)
    for column, size in enumerate(SIZES, start=1):
        low, high = scoring.params.areaRng[column]
        boxes = sum(low <= row["area"] <= high for row in truth)
        if boxes:
            seen = precision[:, :, :, column]
            by_size[size] = (_mean(seen), _mean(seen[0]), boxes)
    overall = precision[:, :, :, 0]
    return Evaluation(_mean(overall), _mean(overall[0]), _mean(overall[5]), by_category, by_size)


def _mean(precision: NDArray[np.float64]) -> float:
    """The mean, without the -1 that stands where there is no truth; NaN where there is none."""
    known = precision[precision >= 0]
    return float(known.mean()) if known.size else math.nan


def latency(detect: Detect, images: Sequence[Image]) -> Latency:
    """Median and 99th percentile time of `detect` on each image by itself, after a warm-up."""
    if not images:
        raise ValueError("Latency needs at least one image.")
    milliseconds: list[float] = []
    measured = timed(detect, milliseconds)
    for image in [*images[:WARM_UP], *images]:
        measured([image])
    return latency_of(milliseconds[-len(images) :])


def timed(detect: Detect, milliseconds: list[float]) -> Detect:
    """`detect`, adding to `milliseconds` how long each call takes."""

    def measured(images: Sequence[Image]) -> Sequence[Detections]:
        started = time.perf_counter()
        found = detect(images)
        milliseconds.append((time.perf_counter() - started) * 1000)
        return found

    return measured


def latency_of(milliseconds: Sequence[float]) -> Latency:
    """Median and 99th percentile of one time per image, at least one."""
    median, p99 = np.percentile(milliseconds, [50, 99])
    return Latency(float(median), float(p99))


def _rows(image_id: int, found: Detections, numbers: dict[str, int]) -> Results:
    return [
        {
            "image_id": image_id,
            "category_id": numbers[label],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": score,
        }
        for (x1, y1, x2, y2), label, score in zip(
            found.boxes.tolist(), found.labels, found.scores.tolist(), strict=True
        )
        if label in numbers
    ]
