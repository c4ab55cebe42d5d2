from pathlib import Path

import numpy as np

from features.catalogue import BOARDS, catalogue_boxes, foreground_boxes


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
    coco = catalogue_boxes(shared_data / "fashion", per_board=3)
    assert len(coco["images"]) == 3 * len(BOARDS)
    assert {photo["file_name"][:8] for photo in coco["images"]} == {"photos/p"}
    sizes = {photo["id"]: (photo["width"], photo["height"]) for photo in coco["images"]}
    for row in coco["annotations"]:
        x, y, w, h = row["bbox"]
        width, height = sizes[row["image_id"]]
        assert 0 <= x < x + w <= width
        assert 0 <= y < y + h <= height
    names = {category["id"]: category["name"] for category in coco["categories"]}
    assert {names[row["category_id"]] for row in coco["annotations"]} == set(BOARDS.values())
    assert catalogue_boxes(shared_data / "fashion", per_board=3) == coco
    others = catalogue_boxes(shared_data / "fashion", per_board=3, held_out=True)
    files, unseen = ({photo["file_name"] for photo in some["images"]} for some in (coco, others))
    assert not files & unseen
