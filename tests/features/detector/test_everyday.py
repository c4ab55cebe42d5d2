import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pil

from features.detector.detector import Detections
from features.detector.everyday import everyday_boxes, everyday_truth

CATEGORIES = [{"id": 62, "name": "chair"}, {"id": 63, "name": "couch"}, {"id": 18, "name": "dog"},
              {"id": 31, "name": "handbag"}]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A photo of a chair and a dog, one of a crowd of chairs, one of a handbag."""
    rows = [(1, 62, 0), (1, 18, 0), (2, 62, 1), (3, 31, 0)]
    annotations = [
        {"id": number, "image_id": photo, "category_id": category, "bbox": [10, 10, 30, 20],
         "area": 450.0, "iscrowd": crowd}
        for number, (photo, category, crowd) in enumerate(rows, start=1)
    ]  # fmt: skip
    images = [{"id": n, "file_name": f"{n}.png", "width": 80, "height": 60} for n in (1, 2, 3)]
    for photo in images:
        pil.new("RGB", (80, 60)).save(tmp_path / str(photo["file_name"]))
    coco = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    (tmp_path / "boxes.json").write_text(json.dumps(coco))
    return tmp_path


def named(coco: dict) -> list[tuple[int, str, list[float]]]:
    names = {category["id"]: category["name"] for category in coco["categories"]}
    return [(row["image_id"], names[row["category_id"]], row["bbox"])
            for row in coco["annotations"]]  # fmt: skip


def test_boxes_have_our_names_and_photos_without_one_are_left_out(folder: Path) -> None:
    coco = everyday_boxes(folder, "boxes.json")
    assert [photo["file_name"] for photo in coco["images"]] == ["1.png", "3.png"]
    assert named(coco) == [(1, "chair", [10, 10, 30, 20]), (2, "bag", [10, 10, 30, 20])]


def test_sure_garments_are_added_where_nothing_is_boxed(folder: Path) -> None:
    boxes = np.array([[50, 5, 70, 55], [12, 11, 39, 30], [50, 5, 70, 20], [0, 0, 9, 9]], np.float32)
    labels = ("dress", "top", "lamp", "hat")
    found = Detections(boxes, np.array([0.9, 0.8, 0.7, 0.4], np.float32), labels, 80, 60)
    coco = everyday_boxes(folder, "boxes.json", lambda images: [found])
    # The top is where the box is, a lamp is no garment, the hat is not sure.
    assert [name for _, name, _ in named(coco)] == ["chair", "dress", "bag", "dress"]


def test_the_truth_keeps_every_photo_and_crowd(folder: Path) -> None:
    coco = everyday_truth(json.loads((folder / "boxes.json").read_text()))
    assert [photo["id"] for photo in coco["images"]] == [1, 2, 3]
    assert [(photo, name) for photo, name, _ in named(coco)] == [(1, "chair"), (2, "chair"),
                                                                (3, "bag")]  # fmt: skip
    assert [row["iscrowd"] for row in coco["annotations"]] == [0, 1, 0]
    assert coco["annotations"][0]["area"] == 450.0
