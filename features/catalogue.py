"""Boxes of product photos: the thing on the white ground, named by its board."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import ndimage

from features.images import load_image

BOARDS: Mapping[str, str] = {
    "sports shoes": "shoes",
    "casual shoes": "shoes",
    "formal shoes": "shoes",
    "heels": "shoes",
    "sandals": "shoes",
    "flats": "shoes",
    "handbags": "bag",
    "backpacks": "bag",
    "clutches": "bag",
    "watches": "watch",
    "sunglasses": "sunglasses",
    "belts": "belt",
    "caps": "hat",
    "ties": "tie",
}


def catalogue_boxes(
    fashion: Path, per_board: int = 40, *, held_out: bool = False
) -> dict[str, Any]:
    """COCO-format boxes of up to `per_board` product pins per board: every other pin by pin_id to
    train on, or with held_out the pins in between. File names are relative to `fashion`.
    """
    pins = pq.read_table(fashion / "pins.parquet", columns=["pin_id", "image", "board"]).to_pylist()
    names = list(dict.fromkeys(BOARDS.values()))
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for board, category in BOARDS.items():
        rows = sorted((pin for pin in pins if pin["board"] == board), key=lambda pin: pin["pin_id"])
        for pin in rows[held_out::2][:per_board]:
            pixels = load_image(fashion / pin["image"]).pixels
            boxes = foreground_boxes(pixels)
            image_id = len(images) + 1
            height, width = pixels.shape[:2]
            images.append(
                {"id": image_id, "file_name": pin["image"], "width": width, "height": height}
            )
            annotations += [
                {
                    "id": len(annotations) + 1 + number,
                    "image_id": image_id,
                    "category_id": names.index(category) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
                for number, (x1, y1, x2, y2) in enumerate(boxes)
            ]
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


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
