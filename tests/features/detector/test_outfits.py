import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from features.detector.catalogue import coco_file
from features.detector.detector import Detections, load_detector
from features.detector.outfits import agreed, outfit_boxes, unboxed_photos
from features.images.images import Image as Photo
from features.images.images import load_image

Row = tuple[str, tuple[float, float, float, float], float]


def found(*rows: Row) -> Detections:
    boxes = np.array([box for _, box, _ in rows], np.float32).reshape(-1, 4)
    scores = np.array([score for *_, score in rows], np.float32)
    return Detections(boxes, scores, tuple(label for label, *_ in rows), 100, 50)


def seen(straight: Detections, mirror: Detections) -> list[Row]:
    image = Photo("", "", 100, 50, np.zeros((50, 100, 3), np.uint8))
    rows = agreed(image, lambda _: [straight, mirror])
    return [(label, box, round(score, 6)) for label, box, score in rows]


def test_what_the_mirror_shows_too_is_kept_as_the_mean_of_both() -> None:
    straight = found(("hat", (10, 0, 30, 20), 0.4), ("bag", (60, 20, 80, 40), 0.9))
    mirror = found(("hat", (72, 2, 92, 22), 0.8))
    assert seen(straight, mirror) == [("hat", (9, 1, 29, 21), 0.6)]


@pytest.mark.parametrize(
    "mirror",
    [
        pytest.param(found(("bag", (70, 0, 90, 20), 0.9)), id="another category"),
        pytest.param(found(("hat", (10, 0, 30, 20), 0.9)), id="another place"),
        pytest.param(found(), id="nothing"),
    ],
)
def test_what_the_mirror_does_not_show_is_left_out(mirror: Detections) -> None:
    straight = found(("hat", (10, 0, 30, 20), 0.9))
    assert seen(straight, mirror) == []
    assert seen(mirror, straight) == []


def test_two_of_a_kind_are_not_kept_twice_for_one_in_the_mirror() -> None:
    straight = found(("shoe", (10, 0, 30, 20), 0.9), ("shoe", (12, 0, 32, 20), 0.8))
    mirror = found(("shoe", (70, 0, 90, 20), 0.7))
    assert seen(straight, mirror) == [("shoe", (10, 0, 30, 20), 0.8)]


def test_a_mirrored_photo_gives_mirrored_boxes(shared_data: Path) -> None:
    fashion, detect = shared_data / "fashion", load_detector("bundled", "cpu").detect
    image = load_image(fashion / unboxed_photos(fashion)[0])
    pixels = np.ascontiguousarray(image.pixels[:, ::-1])
    mirrored = replace(image, pixels=pixels)
    straight, mirror = agreed(image, detect), agreed(mirrored, detect)
    assert straight
    assert [label for label, *_ in straight] == [label for label, *_ in mirror]
    for (_, a, _), (_, b, _) in zip(straight, mirror, strict=True):
        np.testing.assert_allclose((image.width - b[2], b[1], image.width - b[0], b[3]), a, atol=1)


def test_outfits_with_boxes_are_left_alone(shared_data: Path) -> None:
    fashion = shared_data / "fashion"
    unboxed = set(unboxed_photos(fashion))
    assert len(unboxed) > 1000
    for file in ("boxes_train.json", "boxes_val.json"):
        photos = json.loads((fashion / file).read_text())["images"]
        assert not unboxed & {photo["file_name"] for photo in photos}


def test_as_many_boxes_are_kept_as_people_drew(tmp_path: Path) -> None:
    pins = []
    for n in range(5):
        Image.new("L", (100, 50), 10 * n).save(tmp_path / f"{n}.png")
        pins.append({"pin_id": f"p{n}", "image": f"{n}.png", "board": "outfits"})
    pq.write_table(pa.Table.from_pylist(pins), tmp_path / "pins.parquet")
    drawn = coco_file([("4.png", 100, 50, [("hat", (0, 0, 9, 9))]), ("x", 9, 9, [])], ["hat"])
    (tmp_path / "boxes_train.json").write_text(json.dumps(drawn))

    def detect(images: Sequence[Photo]) -> list[Detections]:
        score = float(images[0].pixels.mean()) / 100
        return [found(("hat", (0, 0, 100, 40), score)) for _ in images]

    coco = outfit_boxes(tmp_path, detect)
    assert [photo["file_name"] for photo in coco["images"]] == [f"{n}.png" for n in range(4)]
    # Half a hat a photo was drawn: the two surest of four.
    assert [row["image_id"] for row in coco["annotations"]] == [3, 4]
    assert coco["annotations"][0]["bbox"] == [0, 0, 100, 40]
    nothing = outfit_boxes(tmp_path, lambda images: [found()] * len(images))
    assert nothing["annotations"] == []
