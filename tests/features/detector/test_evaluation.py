import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pil

from features.detector.detector import Detections
from features.detector.evaluation import evaluate, latency
from features.images.images import Image, load_image

Found = list[tuple[list[float], float, str]]
BOXES = [[10.0, 10.0, 40.0, 50.0], [60.0, 20.0, 90.0, 80.0]]


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two photos of two boxes each, a bag and a hat; a third category has no boxes."""
    images, annotations = [], []
    for number in (5, 9):
        pil.new("RGB", (100, 100), (number, 0, 0)).save(tmp_path / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 100, "height": 100})
        for category, (x1, y1, x2, y2) in zip((30, 10), BOXES, strict=True):
            size = [x2 - x1, y2 - y1]
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": category,
                "bbox": [x1, y1, *size], "area": size[0] * size[1], "iscrowd": 0,
            })  # fmt: skip
    names = [(30, "bag"), (10, "hat"), (20, "scarf")]
    categories = [{"id": number, "name": name} for number, name in names]
    path = tmp_path / "boxes.json"
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return path


def answering(answers: Callable[[int], Found]) -> Callable[[Sequence[Image]], list[Detections]]:
    """A detect that answers by the photo's red value."""

    def detect(images: Sequence[Image]) -> list[Detections]:
        return [
            Detections(
                np.array([box for box, _, _ in found], np.float32).reshape(-1, 4),
                np.array([score for _, score, _ in found], np.float32),
                tuple(label for _, _, label in found),
                image.width,
                image.height,
            )
            for image in images
            for found in [answers(int(image.pixels[0, 0, 0]))]
        ]

    return detect


def test_the_truth_scores_one(coco: Path) -> None:
    detect = answering(lambda _: [(BOXES[0], 0.9, "bag"), (BOXES[1], 0.8, "hat")])
    result = evaluate(detect, coco, coco.parent)
    assert (result.ap, result.ap50, result.ap75) == pytest.approx((1, 1, 1))
    assert result.by_category == {
        "bag": pytest.approx((1, 1, 2)),
        "hat": pytest.approx((1, 1, 2)),
    }


@pytest.mark.parametrize(
    "found",
    [
        [],
        [(BOXES[0], 0.9, "hat"), (BOXES[1], 0.8, "bag")],
        [(BOXES[0], 0.9, "spaceship")],
        [([70.0, 70.0, 99.0, 99.0], 0.9, "bag")],
    ],
    ids=["nothing", "wrong category", "unknown category", "wrong place"],
)
def test_what_is_wrong_scores_zero(coco: Path, found: Found) -> None:
    assert evaluate(answering(lambda _: found), coco, coco.parent).ap50 == 0


def test_a_smaller_box_counts_up_to_its_overlap(coco: Path) -> None:
    # A box of 0.72 of the height overlaps by 0.72: right at IoU .50, .55, .60, .65, .70.
    x1, y1, x2, y2 = BOXES[0]
    short = [x1, y1, x2, y1 + 0.72 * (y2 - y1)]
    detect = answering(lambda _: [(short, 0.9, "bag"), (BOXES[1], 0.8, "hat")])
    result = evaluate(detect, coco, coco.parent)
    assert result.by_category["bag"] == pytest.approx((0.5, 1.0, 2))
    assert result.ap == pytest.approx(0.75)
    assert result.ap75 == pytest.approx(0.5)


def test_precision_is_interpolated_over_recall(coco: Path) -> None:
    # Bag: right, then wrong; one of two found. Precision 1 up to recall 0.5: 51 of 101 points.
    detect = answering(
        lambda red: [(BOXES[0], 0.9, "bag")] if red == 5 else [([50, 50, 70, 70], 0.8, "bag")]
    )
    result = evaluate(detect, coco, coco.parent)
    assert result.by_category["bag"][1] == pytest.approx(51 / 101)
    # A wrong box before the right one: precision 1/2 up to recall 0.5.
    detect = answering(
        lambda red: [(BOXES[0], 0.7, "bag")] if red == 5 else [([50, 50, 70, 70], 0.8, "bag")]
    )
    result = evaluate(detect, coco, coco.parent)
    assert result.by_category["bag"][1] == pytest.approx(0.5 * 51 / 101)


def test_the_batch_size_does_not_matter(coco: Path) -> None:
    detect = answering(lambda red: [(BOXES[red == 9], red / 10, "bag")])
    assert evaluate(detect, coco, coco.parent, 1) == evaluate(detect, coco, coco.parent, 8)


def test_a_photo_that_is_missing_is_named(coco: Path) -> None:
    (coco.parent / "9.png").unlink()
    with pytest.raises(ValueError, match=r"The photo 9\.png of the COCO file: The file"):
        evaluate(lambda images: [], coco, coco.parent)


def test_latency_is_of_one_image_at_a_time(coco: Path) -> None:
    sizes = []

    def slow(images: Sequence[Image]) -> list[Detections]:
        sizes.append(len(images))
        time.sleep(0.004)
        return []

    taken = latency(slow, [load_image(coco.parent / "5.png")] * 5)
    assert set(sizes) == {1}
    assert 4 <= taken.median_ms <= taken.p99_ms
    with pytest.raises(ValueError, match="at least one image"):
        latency(slow, [])
