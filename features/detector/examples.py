"""Photos with boxes to learn from: read, augmented, put in batches."""

import json
import math
import random
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as pixels_to

from features.detector.detector import scaled_size, to_input
from features.images.images import load_image

UNSURE = -1  # label that torchvision's heads of boxes do not sample; its region proposals do
Target = dict[str, Tensor]
CocoFiles = Sequence[tuple[Path, Path]]
Batch = tuple[list[Tensor], list[Target]]


@dataclass(frozen=True)
class Variety:
    """How photos vary from one epoch to the next.

    short_sides: one is drawn per batch, pixels. long_side: never passed, pixels. enlarge: no photo
    is enlarged more, times. crop_share: share of photos shown through a random window.
    """

    short_sides: tuple[int, ...] = (352, 384, 416, 448)
    long_side: int = 672
    crop_share: float = 0.4
    enlarge: float = 1.3


@dataclass(frozen=True, eq=False)
class Example:
    """One photo with its boxes: `(N, 4)` float32 xyxy in its pixels, `(N,)` int64 labels from 1, or
    UNSURE of what is neither learned as a category nor as background.

    times: how often an epoch shows it; 0.25 is in one epoch of four.
    """

    path: Path
    width: int
    height: int
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    times: float = 1.0


def categories_of(coco_files: CocoFiles) -> tuple[str, ...]:
    """The category names of all files, in the order they are first seen."""
    names: dict[str, None] = {}
    for path, _ in coco_files:
        for category in json.loads(Path(path).read_text())["categories"]:
            names.setdefault(category["name"])
    return tuple(names)


def read_coco(
    path: Path, folder: Path, categories: Sequence[str], times: float = 1.0
) -> list[Example]:
    """The photos of a COCO file that have boxes, crowds and empty boxes left out.

    An annotation with `"unsure": 1` says that there is something, but not surely what.
    """
    coco = json.loads(Path(path).read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    objects: dict[int, list[tuple[list[float], int]]] = {}
    for row in coco["annotations"]:
        x, y, width, height = row["bbox"]
        if not row.get("iscrowd") and width >= 1 and height >= 1:
            label = categories.index(names[row["category_id"]]) + 1
            label = UNSURE if row.get("unsure") else label
            objects.setdefault(row["image_id"], []).append(([x, y, x + width, y + height], label))
    return [
        Example(
            path=Path(folder) / photo["file_name"],
            width=photo["width"],
            height=photo["height"],
            boxes=np.array([box for box, _ in objects[photo["id"]]], dtype=np.float32),
            labels=np.array([label for _, label in objects[photo["id"]]], dtype=np.int64),
            times=times,
        )
        for photo in coco["images"]
        if photo["id"] in objects
    ]


def repeated(examples: Sequence[Example], threshold: float) -> list[Example]:
    """The examples, those with a rare category shown more often: `times` times the repeat factor of
    their rarest category, max(1, sqrt(threshold / its share of the photos)).

    LVIS, Gupta et al. 2019, https://arxiv.org/abs/1908.03195, section 5.
    """
    kinds = [set(example.labels.tolist()) - {UNSURE} for example in examples]
    photos = Counter(kind for found in kinds for kind in found)
    factor = {
        kind: max(1.0, math.sqrt(threshold * len(examples) / count))
        for kind, count in photos.items()
    }
    return [
        replace(example, times=example.times * max((factor[kind] for kind in found), default=1.0))
        for example, found in zip(examples, kinds, strict=True)
    ]


def batches(
    examples: list[Example],
    size: int,
    variety: Variety,
    seed: int,
    epoch: int,
    *,
    workers: int = 1,
    drop_last: bool = False,
) -> Iterator[Batch]:
    """Every example as often as its `times` (the part of a time by chance), in shuffled batches of
    photos alike in size. As many threads as `workers` each decode a batch ahead; the batches are
    the same whatever their number. drop_last: a last batch that is not full is left out, unless it
    is the only one."""
    dice = random.Random(f"{seed} {epoch}")
    order = [
        row
        for row, example in enumerate(examples)
        for _ in range(math.floor(example.times + dice.random()))
    ]
    dice.shuffle(order)
    chunk = size * 16
    rows = [
        row
        for start in range(0, len(order), chunk)
        for row in sorted(
            order[start : start + chunk],
            key=lambda row: (examples[row].height, examples[row].width),
        )
    ]
    groups = [rows[start : start + size] for start in range(0, len(rows), size)]
    if drop_last and len(groups) > 1 and len(groups[-1]) < size:
        groups.pop()
    dice.shuffle(groups)
    seeds = [dice.getrandbits(64) for _ in groups]

    def load(group: list[int], seed: int) -> Batch:
        chance = random.Random(seed)
        short_side = chance.choice(variety.short_sides)
        pairs = [augmented(examples[row], short_side, variety, chance) for row in group]
        return [image for image, _ in pairs], [target for _, target in pairs]

    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[Batch]] = deque()
        for group, seed in zip(groups, seeds, strict=True):
            ahead.append(pool.submit(load, group, seed))
            if len(ahead) > workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def augmented(
    example: Example, short_side: int, variety: Variety, dice: random.Random
) -> tuple[Tensor, Target]:
    """The photo at times cropped, scaled, flipped half of the time, its light and colour shifted a
    little, and its boxes moved with it: `(3, H, W)` float32 in [0, 1], boxes xyxy in its pixels."""
    photo, boxes, labels = load_image(example.path).pixels, example.boxes, example.labels
    enlarge = variety.enlarge
    if dice.random() < variety.crop_share:
        enlarge *= 2
        photo, boxes, labels = cropped(photo, boxes, labels, dice)
    height, width = photo.shape[:2]
    size = scaled_size(height, width, short_side, variety.long_side, enlarge)
    scale = np.array([size[1] / width, size[0] / height] * 2, dtype=np.float32)
    boxes = boxes * scale
    pixels = to_input(photo, size)
    if dice.random() < 0.5:
        pixels = pixels.flip(2)
        boxes = np.stack(
            [size[1] - boxes[:, 2], boxes[:, 1], size[1] - boxes[:, 0], boxes[:, 3]], axis=1
        )
    pixels = pixels_to.adjust_brightness(pixels, dice.uniform(0.75, 1.25))
    pixels = pixels_to.adjust_contrast(pixels, dice.uniform(0.8, 1.2))
    pixels = pixels_to.adjust_saturation(pixels, dice.uniform(0.7, 1.3))
    return pixels, {"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(labels)}


def cropped(
    photo: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    labels: NDArray[np.int64],
    dice: random.Random,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
    """A random window of 45 to 100 % of each side, with the boxes at least half inside it; the
    whole photo where no box would be left."""
    height, width = photo.shape[:2]
    high, wide = (round(side * dice.uniform(0.45, 1.0)) for side in (height, width))
    top, left = dice.randint(0, height - high), dice.randint(0, width - wide)
    corner = np.array([left, top] * 2, dtype=np.float32)
    inside = np.clip(boxes - corner, 0, np.array([wide, high] * 2, dtype=np.float32))
    kept = _areas(inside) >= 0.5 * _areas(boxes)
    if not kept.any():
        return photo, boxes, labels
    window = np.ascontiguousarray(photo[top : top + high, left : left + wide])
    return window, inside[kept], labels[kept]


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
