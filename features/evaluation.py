"""How good a detector is on boxes it has not seen, and how long it takes."""

import contextlib
import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from features.detector import Detections
from features.images import Image, load_image

Detect = Callable[[Sequence[Image]], Sequence[Detections]]


@dataclass(frozen=True)
class Evaluation:
    """COCO's average precision (https://cocodataset.org/#detection-eval), 0 to 1.

    ap: mean over categories and IoU .50 to .95. ap50, ap75: at one IoU. by_category: name ->
    (ap, ap50, boxes), for categories with boxes.
    """

    ap: float
    ap50: float
    ap75: float
    by_category: dict[str, tuple[float, float, int]]


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
    numbers = {category["name"]: category["id"] for category in coco["categories"]}
    results: list[dict[str, Any]] = []
    for start in range(0, len(coco["images"]), batch_size):
        photos = coco["images"][start : start + batch_size]
        images = [load_image(Path(folder) / photo["file_name"]) for photo in photos]
        for photo, found in zip(photos, detect(images), strict=True):
            results += _results(photo["id"], found, numbers)
    precision = _precision(coco, results)
    return _summary(precision, coco)


def latency(detect: Detect, images: Sequence[Image]) -> Latency:
    """Median and 99th percentile time of `detect` on each image by itself, after a warm-up."""
    if not images:
        raise ValueError("Latency needs at least one image.")
    for image in images[:3]:
        detect([image])
    milliseconds = []
    for image in images:
        started = time.perf_counter()
        detect([image])
        milliseconds.append((time.perf_counter() - started) * 1000)
    median, p99 = np.percentile(milliseconds, [50, 99])
    return Latency(float(median), float(p99))


def _results(image_id: int, found: Detections, numbers: dict[str, int]) -> list[dict[str, Any]]:
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


def _precision(coco: dict[str, Any], results: list[dict[str, Any]]) -> NDArray[np.float64]:
    """`(IoU, recall, category)` precision over all areas, 100 boxes an image; -1 without truth."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"info": {}, **coco}
        truth.createIndex()
        if not results:
            return np.zeros((10, 101, len(coco["categories"])))
        scoring = COCOeval(truth, truth.loadRes(results), "bbox")
        scoring.evaluate()
        scoring.accumulate()
    precision: NDArray[np.float64] = scoring.eval["precision"][:, :, :, 0, -1]
    return precision


def _summary(precision: NDArray[np.float64], coco: dict[str, Any]) -> Evaluation:
    counts = {category["id"]: 0 for category in coco["categories"]}
    for row in coco["annotations"]:
        counts[row["category_id"]] += not row.get("iscrowd", 0)
    categories = sorted(coco["categories"], key=lambda category: int(category["id"]))
    by_category = {
        category["name"]: (
            float(precision[:, :, column].mean()),
            float(precision[0, :, column].mean()),
            counts[category["id"]],
        )
        for column, category in enumerate(categories)
        if counts[category["id"]]
    }
    seen = precision[:, :, [counts[category["id"]] > 0 for category in categories]]
    ap, ap50, ap75 = seen.mean(), seen[0].mean(), seen[5].mean()
    return Evaluation(float(ap), float(ap50), float(ap75), by_category)
