"""The true boxes of drawn photos, in COCO format."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from experiments.world.appearance import CATEGORIES
from experiments.world.scenes import DrawnObject


@dataclass(frozen=True)
class Photo:
    """A written photo: its file name, its size in pixels and what it shows."""

    file_name: str
    width: int
    height: int
    objects: tuple[DrawnObject, ...]


def write_boxes(path: Path, photos: Iterable[Photo]) -> int:
    """Writes the true boxes of the photos as COCO JSON; returns the number of boxes.

    Categories are numbered from 1 in the order of CATEGORIES; bbox is x, y, width, height in
    pixels of the visible part; `visible` is the share of the object that can be seen, 0..1.
    """
    numbers = {name: i for i, name in enumerate(CATEGORIES, start=1)}
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for image_id, photo in enumerate(photos, start=1):
        size = {"width": photo.width, "height": photo.height}
        images.append({"id": image_id, "file_name": photo.file_name, **size})
        for thing in photo.objects:
            x1, y1, x2, y2 = thing.box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": numbers[thing.appearance.category],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                    "visible": round(thing.visible, 4),
                    "colour": thing.appearance.colour,
                }
            )
    categories = [{"id": i, "name": name} for name, i in numbers.items()]
    truth = {"images": images, "categories": categories, "annotations": annotations}
    path.write_text(json.dumps(truth))
    return len(annotations)
