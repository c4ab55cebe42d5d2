"""Boxes of product photos: the thing on the white ground, named by its board."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import ndimage

from features.boxes import iou
from features.detector.detector import Detections
from features.images.images import Image, load_image

LYING: Mapping[str, str] = {
    "sports shoes": "shoes", "casual shoes": "shoes", "formal shoes": "shoes", "heels": "shoes",
    "sandals": "shoes", "flats": "shoes", "handbags": "bag", "backpacks": "bag", "clutches": "bag",
    "duffel bag": "bag", "messenger bag": "bag", "watches": "watch", "sunglasses": "sunglasses",
    "belts": "belt", "caps": "hat", "hat": "hat", "ties": "tie",
}  # fmt: skip
WORN: Mapping[str, str] = {
    "tshirts": "top", "shirts": "top", "tops": "top", "sweaters": "top", "sweatshirts": "top",
    "kurtas": "top", "tunics": "top", "jackets": "outerwear", "dresses": "dress",
    "trousers": "pants", "jeans": "pants", "track pants": "pants", "leggings": "pants",
    "shorts": "shorts", "skirts": "skirt", "mufflers": "scarf", "scarves": "scarf",
    "stoles": "scarf",
}  # fmt: skip
BOARDS: Mapping[str, str] = {**LYING, **WORN}
ALIKE = ({"top", "outerwear", "dress"}, {"pants", "shorts", "skirt"}, {"scarf"})
UPPER: Mapping[str, str] = {"pants": "pants", "shorts": "pants", "skirt": "skirt"}
LOWER: Mapping[str, str] = {"top": "top", "outerwear": "outerwear", "shoes": "shoes"}
BESIDE: Mapping[str, Mapping[str, str]] = {
    "top": UPPER, "outerwear": UPPER, "dress": {"shoes": "shoes"},
    "pants": LOWER, "shorts": LOWER, "skirt": LOWER, "scarf": {},
}  # fmt: skip
LEAST, SURE, SAME_THING = 0.15, 0.5, 0.4

Detect = Callable[[Sequence[Image]], Sequence[Detections]]
Box = tuple[float, float, float, float]


def catalogue_boxes(
    fashion: Path, detect: Detect, per_board: int = 40, *, held_out: bool = False
) -> dict[str, Any]:
    """COCO-format boxes of up to `per_board` product pins per board: every other pin by pin_id to
    train on, or with held_out the pins in between. File names are relative to `fashion`.

    The category is the board's. Things photographed by themselves (LYING) are boxed by what is not
    white; a garment that may be worn by a model (WORN) by what `detect` finds of its part of the
    body, and what else it is sure of and can be there is boxed too.
    """
    photos = []
    for board, name in product_photos(fashion, per_board, held_out=held_out):
        image = load_image(fashion / name)
        if board in LYING:
            objects: list[tuple[str, Box]] = [
                (LYING[board], box) for box in foreground_boxes(image.pixels)
            ]
        else:
            objects = worn_boxes(image, WORN[board], detect([image])[0])
        photos.append((name, image.width, image.height, objects))
    return coco_file(photos, list(dict.fromkeys(BOARDS.values())))


def product_photos(fashion: Path, per_board: int, *, held_out: bool) -> list[tuple[str, str]]:
    """(board, file name) of up to `per_board` product pins per board: the first, third, ... by
    pin_id, or with held_out the pins in between."""
    columns = ["pin_id", "image", "board"]
    pins = pq.read_table(fashion / "pins.parquet", columns=columns).to_pandas()
    return [
        (board, name)
        for board in BOARDS
        for name in pins[pins["board"] == board]
        .sort_values("pin_id")["image"][int(held_out) :: 2]
        .head(per_board)
    ]


def worn_boxes(image: Image, category: str, found: Detections) -> list[tuple[str, Box]]:
    """(category, xyxy box) of a garment of known category, and of others around it.

    The garment's box is the surest of the detections on its part of the body, or what is not white
    where there is none. Others are kept where they are sure, are not the garment under another
    name, and can be there (BESIDE: what is found beside which garment, and what it is): models are
    shown from head to thigh, or from waist to shoes, so hands and hair beside a top are no shoes
    and no hat, and what looks like shorts is trousers that the edge cuts off.
    """
    alike = next(names for names in ALIKE if category in names)
    boxes = [(x1, y1, x2, y2) for x1, y1, x2, y2 in found.boxes.tolist()]
    here = [row for row, label in enumerate(found.labels) if label in alike]
    here = [row for row in here if found.scores[row] >= LEAST]
    garment = boxes[here[0]] if here else next(iter(foreground_boxes(image.pixels)), None)
    if garment is None:
        return []
    beside = BESIDE[category]
    others = [
        (beside[label], box)
        for label, box, score in zip(found.labels, boxes, found.scores, strict=True)
        if score >= SURE
        and label in beside
        and iou(np.array(box), np.array(garment)) < SAME_THING
        and (label != "shoes" or _at_the_foot(box, garment))
    ]
    return [(category, garment), *others]


def _at_the_foot(box: Box, garment: Box) -> bool:
    """Whether the middle of the box is lower than nine tenths of the garment."""
    return (box[1] + box[3]) / 2 > 0.1 * garment[1] + 0.9 * garment[3]


def coco_file(
    photos: Sequence[tuple[str, int, int, Sequence[tuple[str, Box]]]], categories: Sequence[str]
) -> dict[str, Any]:
    """A COCO file of (file name, width, height, [(category, xyxy box)]) per photo; categories are
    numbered from 1 in the given order, and those that boxes name besides are added."""
    seen = dict.fromkeys([*categories, *(name for *_, found in photos for name, _ in found)])
    numbers = {name: number for number, name in enumerate(seen, start=1)}
    images = [
        {"id": number, "file_name": name, "width": width, "height": height}
        for number, (name, width, height, _) in enumerate(photos, start=1)
    ]
    objects = [
        (number, name, box)
        for number, (*_, found) in enumerate(photos, start=1)
        for name, box in found
    ]
    annotations = [
        {
            "id": number,
            "image_id": image,
            "category_id": numbers[name],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": 0,
        }
        for number, (image, name, (x1, y1, x2, y2)) in enumerate(objects, start=1)
    ]
    named = [{"id": number, "name": name} for name, number in numbers.items()]
    return {"images": images, "annotations": annotations, "categories": named}


def foreground_boxes(
    pixels: NDArray[np.uint8], white: int = 240, least: float = 0.4
) -> list[tuple[int, int, int, int]]:
    """Tight xyxy boxes of what is not white in a `(H, W, 3)` uint8 photo: the largest connected
    part, and others of at least `least` of its area (a pair of shoes). Empty for a blank photo.

    >>> photo = np.full((20, 30, 3), 255, np.uint8)
    >>> photo[5:15, 10:25] = 0
    >>> foreground_boxes(photo)
    [(10, 5, 25, 15)]
    """
    dark = ndimage.binary_opening(pixels.min(axis=2) < white, iterations=1)
    parts, count = ndimage.label(ndimage.binary_dilation(dark, iterations=2))
    if count == 0:
        return []
    areas = np.bincount(parts[dark], minlength=count + 1)
    boxes = []
    for number in np.flatnonzero(areas >= max(least * areas.max(), 1)):
        rows, columns = np.nonzero(dark & (parts == number))
        boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    return [(int(x1), int(y1), int(x2), int(y2)) for x1, y1, x2, y2 in boxes]
