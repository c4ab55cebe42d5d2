"""The true boxes of drawn scenes, in COCO format."""

import json
from collections.abc import Iterable
from pathlib import Path

from experiments.world.appearance import CATEGORIES
from experiments.world.scenes import Scene


def write_boxes(path: Path, scenes: Iterable[tuple[str, Scene]]) -> int:
    """Writes the true boxes of (file name, scene) pairs as COCO JSON; returns their number.

    The scenes are consumed one by one, so that a generator need not hold their images.

    Categories are numbered from 1 in the order of CATEGORIES; bbox is x, y, width, height in
    pixels of the visible part; `visible` is the share of the object that can be seen, 0..1.
    """
    numbers = {category: i for i, category in enumerate(CATEGORIES, start=1)}
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for image_id, (name, scene) in enumerate(scenes, start=1):
        size = {"width": scene.image.width, "height": scene.image.height}
        images.append({"id": image_id, "file_name": name, **size})
        for thing in scene.objects:
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
    categories = [{"id": i, "name": category} for category, i in numbers.items()]
    truth = {"images": images, "categories": categories, "annotations": annotations}
    path.write_text(json.dumps(truth))
    return len(annotations)
