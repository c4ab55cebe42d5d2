import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.detector.detector import Detections
from features.weak import coco
from features.weak.coco import EDGES, seen_beside, weak_coco

NOTHING = pd.DataFrame()  # what a detector sees beside the objects


def weak(*rows: tuple[str, str | None, float, float]) -> pd.DataFrame:
    """Objects of photos of 100 x 200 pixels, one below the other."""
    objects = pd.DataFrame(
        rows, columns=["pin_id", "category", "box_confidence", "label_confidence"]
    )
    top = 30.0 * objects.groupby("pin_id").cumcount()
    edges = {"x1": 10.0, "y1": top, "x2": 60.0, "y2": top + 25}
    return objects.assign(
        image=objects["pin_id"] + ".jpg", width=100, height=200, n_users=3, **edges
    )


def test_what_may_be_wrong_is_unsure() -> None:
    objects = weak(("a", "bag", 1, 0.9), ("a", "hat", 0.69, 0.9), ("b", "bag", 1, 0.59))
    found = weak_coco(objects, NOTHING)
    assert [row["unsure"] for row in found["annotations"]] == [0, 1, 1]
    assert [row["score"] for row in found["annotations"]] == [0.9, 0.621, 0.59]
    assert [row["n_users"] for row in found["annotations"]] == [3, 3, 3]
    assert json.loads(json.dumps(found)) == found


def test_a_first_detector_learns_from_everything() -> None:
    objects = weak(("a", "bag", 1, 0.9), ("a", "hat", 0.69, 0.9), ("b", "bag", 1, 0.59))
    assert [row["unsure"] for row in weak_coco(objects)["annotations"]] == [0, 0, 0]


def test_each_annotation_says_what_its_object_does() -> None:
    objects = weak(("b", "bag", 1, 0.9), ("a", "hat", 0.8, 0.9), ("b", "hat", 1, 0.8))
    found = weak_coco(objects)
    photos = {image["id"]: image["file_name"] for image in found["images"]}
    rows = [(photos[row["image_id"]], row["bbox"][1], row["score"]) for row in found["annotations"]]
    assert rows == [("a.jpg", 0, 0.72), ("b.jpg", 0, 0.9), ("b.jpg", 30, 0.8)]


def test_an_object_without_a_category_is_left_out() -> None:
    assert len(weak_coco(weak(("a", "bag", 1, 1), ("a", None, 1, 0)))["annotations"]) == 1


class Sees:
    """A detector that sees the given boxes in every photo."""

    def __init__(self, *rows: tuple[str, float, list[float]]) -> None:
        labels, scores, boxes = zip(*rows, strict=True)
        self.found = Detections(
            np.array(boxes, np.float32), np.array(scores, np.float32), labels, 100, 200
        )

    def detect(self, images: list[object]) -> list[Detections]:
        return [self.found for _ in images]


def test_only_what_is_surely_seen_elsewhere_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coco, "load_image", lambda path: path)
    objects = weak(("a", "bag", 1, 1))
    detector = Sees(
        ("bag", 0.9, [10, 0, 60, 25]),  # the object itself
        ("hat", 0.8, [10, 100, 60, 120]),
        ("tie", 0.7, [10, 15, 60, 60]),  # half over the object, IoU 0.19
        ("hat", 0.4, [10, 150, 60, 170]),  # unsure
    )
    seen = seen_beside(objects, {"a": Path("a.jpg")}, detector)
    assert seen["category"].tolist() == ["hat", "tie"]
    assert seen[EDGES].iloc[0].tolist() == [10, 100, 60, 120]
    found = weak_coco(objects, seen)
    assert [(row["unsure"], row["n_users"]) for row in found["annotations"]] == [
        (0, 3),
        (1, 0),
        (1, 0),
    ]
    assert [category["name"] for category in found["categories"]] == ["bag", "hat", "tie"]


def test_nothing_seen_adds_nothing() -> None:
    objects = weak(("a", "bag", 1, 1))
    nothing = seen_beside(objects.iloc[:0], {}, Sees(("hat", 0.9, [0, 0, 9, 9])))
    assert len(nothing) == 0
    assert weak_coco(objects, nothing) == weak_coco(objects)
