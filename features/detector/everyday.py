"""Boxes of everyday photos: a COCO file's names said in ours, and the garments it leaves out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from features.boxes import iou
from features.detector.catalogue import SURE, Box, Detect, coco_file
from features.images.images import load_image
from sql.columns import CATEGORIES, FURNISHINGS

NAMES: Mapping[str, str] = {
    "chair": "chair", "couch": "couch", "dining table": "table", "potted plant": "plant",
    "vase": "vase", "clock": "clock", "handbag": "bag", "backpack": "bag", "tie": "tie",
}  # fmt: skip


def everyday_boxes(folder: Path, name: str, detect: Detect | None = None) -> dict[str, Any]:
    """The COCO file `folder/name` with the boxes of NAMES under our names, photos with such a box
    alone; file names as in the file.

    COCO does not box clothes, so with `detect` the garments it is sure of are added: unboxed they
    would be taught as background.
    """
    coco = json.loads((folder / name).read_text())
    theirs = {category["id"]: category["name"] for category in coco["categories"]}
    objects: dict[int, list[tuple[str, Box]]] = {}
    for row in coco["annotations"]:
        x, y, width, height = row["bbox"]
        if theirs[row["category_id"]] in NAMES and not row.get("iscrowd"):
            box = (x, y, x + width, y + height)
            objects.setdefault(row["image_id"], []).append((NAMES[theirs[row["category_id"]]], box))
    photos = []
    for photo in coco["images"]:
        found = objects.get(photo["id"], [])
        if found and detect is not None:
            found += _garments(folder / photo["file_name"], detect, [box for _, box in found])
        if found:
            photos.append((photo["file_name"], photo["width"], photo["height"], found))
    return coco_file(photos, CATEGORIES)


def everyday_truth(coco: Mapping[str, Any]) -> dict[str, Any]:
    """A COCO file with the boxes of NAMES alone, under our names: every photo and crowd is kept, so
    that nothing which is found where there is nothing goes uncounted."""
    theirs = {category["id"]: category["name"] for category in coco["categories"]}
    ours = {name: number for number, name in enumerate(dict.fromkeys(NAMES.values()), start=1)}
    annotations = [
        {**row, "category_id": ours[NAMES[theirs[row["category_id"]]]]}
        for row in coco["annotations"]
        if theirs[row["category_id"]] in NAMES
    ]
    categories = [{"id": number, "name": name} for name, number in ours.items()]
    return {"images": coco["images"], "annotations": annotations, "categories": categories}


def _garments(path: Path, detect: Detect, taken: list[Box]) -> list[tuple[str, Box]]:
    found = detect([load_image(path)])[0]
    return [
        (label, (box[0], box[1], box[2], box[3]))
        for label, box, score in zip(found.labels, found.boxes.tolist(), found.scores, strict=True)
        if score >= SURE
        and label not in FURNISHINGS
        and iou(np.array(box), np.array(taken)).max() < 0.5
    ]
