from pathlib import Path

import numpy as np
import pytest

from features.detector.catalogue import (
    BOARDS,
    catalogue_boxes,
    foreground_boxes,
    product_photos,
    worn_boxes,
)
from features.detector.detector import Detections, load_detector
from features.images.images import Image


def white(height: int = 60, width: int = 80) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)


def test_a_pair_gives_two_boxes_and_a_speck_none() -> None:
    photo = white()
    photo[10:40, 5:30] = (120, 60, 20)
    photo[12:42, 45:70] = (120, 60, 20)
    photo[55:58, 70:74] = 0
    assert foreground_boxes(photo) == [(5, 10, 30, 40), (45, 12, 70, 42)]


def test_nearly_white_ground_is_ground() -> None:
    photo = white() - np.uint8(8)
    photo[20:30, 20:50] = 100
    assert foreground_boxes(photo) == [(20, 20, 50, 30)]
    assert foreground_boxes(white()) == []


def test_products_are_every_other_pin_with_boxes_inside(shared_data: Path) -> None:
    fashion = shared_data / "fashion"
    coco = catalogue_boxes(fashion, load_detector("bundled", "cpu").detect, per_board=1)
    assert len(coco["images"]) == len(BOARDS)
    assert {photo["file_name"][:8] for photo in coco["images"]} == {"photos/p"}
    sizes = {photo["id"]: (photo["width"], photo["height"]) for photo in coco["images"]}
    for row in coco["annotations"]:
        x, y, w, h = row["bbox"]
        width, height = sizes[row["image_id"]]
        assert 0 <= x < x + w <= width
        assert 0 <= y < y + h <= height
    names = {category["id"]: category["name"] for category in coco["categories"]}
    assert {names[row["category_id"]] for row in coco["annotations"]} >= set(BOARDS.values())


def test_held_out_products_are_the_pins_in_between(shared_data: Path) -> None:
    seen, unseen = (
        set(product_photos(shared_data / "fashion", 10**6, held_out=held_out))
        for held_out in (False, True)
    )
    assert not seen & unseen
    assert {board for board, _ in seen | unseen} == set(BOARDS)
    assert abs(len(seen) - len(unseen)) <= len(BOARDS)


def test_a_worn_garment_takes_the_box_of_its_part_of_the_body() -> None:
    photo = white()
    photo[5:55, 20:60] = 90
    image = Image("", "", 80, 60, photo)
    boxes = np.array([[20, 5, 60, 30], [20, 30, 60, 55], [21, 6, 59, 31], [50, 20, 60, 30]])
    found = Detections(
        boxes.astype(np.float32),
        np.array([0.9, 0.8, 0.7, 0.3], np.float32),
        ("outerwear", "pants", "top", "bag"),
        80,
        60,
    )
    # The surest on the upper body is called what the board says; the unsure bag is left out.
    assert worn_boxes(image, "top", found) == [
        ("top", (20, 5, 60, 30)),
        ("pants", (20, 30, 60, 55)),
    ]
    # Nothing on a scarf's part of the body: what is not white.
    assert worn_boxes(image, "scarf", found)[0] == ("scarf", (20, 5, 60, 55))
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), (), 80, 60)
    assert worn_boxes(Image("", "", 80, 60, white()), "top", nothing) == []


def test_a_garment_is_not_boxed_again_under_another_name() -> None:
    photo = white()
    photo[20:50, 20:60] = 90
    boxes = np.array([[19, 19, 61, 51], [20, 20, 60, 50], [22, 5, 58, 25]], np.float32)
    scores = np.array([0.9, 0.6, 0.8], np.float32)
    found = Detections(boxes, scores, ("top", "pants", "top"), 80, 60)
    assert worn_boxes(Image("", "", 80, 60, photo), "shorts", found) == [
        ("shorts", (20, 20, 60, 50)),
        ("top", (22, 5, 58, 25)),
    ]


@pytest.mark.parametrize(
    ("category", "found", "expected"),
    [
        (
            "outerwear",
            {"top": (20, 20, 60, 80), "hat": (30, 5, 50, 18), "shoes": (12, 75, 20, 85),
             "shorts": (22, 80, 58, 100)},
            [("outerwear", (20, 20, 60, 80)), ("pants", (22, 80, 58, 100))],
        ),
        (
            "pants",
            {"pants": (20, 10, 60, 85), "shoes": (12, 15, 20, 25), "belt": (20, 8, 60, 14),
             "top": (20, 2, 60, 12)},
            [("pants", (20, 10, 60, 85)), ("top", (20, 2, 60, 12))],
        ),
        (
            "shorts",
            {"shorts": (20, 10, 60, 50), "shoes": (25, 80, 40, 98), "bag": (55, 5, 70, 40)},
            [("shorts", (20, 10, 60, 50)), ("shoes", (25, 80, 40, 98))],
        ),
        ("scarf", {"scarf": (20, 5, 60, 90), "hat": (25, 5, 50, 30)}, [("scarf", (20, 5, 60, 90))]),
    ],
)  # fmt: skip
def test_only_what_can_be_there_is_boxed_beside_a_garment(
    category: str,
    found: dict[str, tuple[float, ...]],
    expected: list[tuple[str, tuple[float, ...]]],
) -> None:
    """Hair and a hand beside a top, what the edge leaves of trousers; a hand and a waistband beside
    trousers; shoes at the foot of shorts, no bag; the knot of a scarf."""
    boxes, scores = np.array([*found.values()], np.float32), np.full(len(found), 0.9, np.float32)
    sure = Detections(boxes, scores, tuple(found), 80, 100)
    assert worn_boxes(Image("", "", 80, 100, white(100, 80)), category, sure) == expected
