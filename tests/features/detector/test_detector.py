import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as pil
from torchvision.ops import box_iou

from experiments.world.appearance import CATEGORIES, random_looks
from experiments.world.scenes import Scene, draw_outfit, draw_product, draw_room
from features.detector.detector import (
    BUNDLED,
    Detections,
    Detector,
    load_detector,
    save_detector,
    scaled_size,
    to_input,
)
from features.detector.evaluation import evaluate
from features.detector.faster_rcnn import Settings, faster_rcnn
from features.images.images import Image, load_image
from features.precision import autocast

DRAW = {"outfit": draw_outfit, "room": draw_room}


def picture(pixels: np.ndarray) -> Image:
    return Image("", "", pixels.shape[1], pixels.shape[0], np.ascontiguousarray(pixels))


def blank(width: int, height: int) -> Image:
    return picture(np.full((height, width, 3), 200, np.uint8))


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector("bundled", "cpu")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve scenes with their true boxes, of another seed than any in training."""
    folder = tmp_path_factory.mktemp("scenes")
    rng = np.random.default_rng(20261123)
    scenes = []
    for number in range(12):
        kind = "outfit" if number % 2 else "room"
        looks = random_looks(kind, rng)
        scene = DRAW[kind](looks, rng) if number % 3 else draw_product(looks[0], rng)
        scene.image.save(folder / f"{number}.png")
        scenes.append(scene)
    (folder / "boxes.json").write_text(json.dumps(coco_of(scenes)))
    return folder


def coco_of(scenes: Sequence[Scene]) -> dict[str, object]:
    """The scenes' true boxes, photo n being n.png."""
    annotations = []
    for number, scene in enumerate(scenes):
        for drawn in scene.objects:
            x1, y1, x2, y2 = drawn.box
            annotations.append({
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": CATEGORIES.index(drawn.appearance.category),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
            })  # fmt: skip
    return {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(len(scenes))],
        "annotations": annotations,
        "categories": [{"id": n, "name": name} for n, name in enumerate(CATEGORIES)],
    }


@pytest.fixture(scope="module")
def images(drawn: Path) -> list[Image]:
    return [load_image(path) for path in sorted(drawn.glob("*.png"))]


@pytest.fixture(scope="module")
def found(detector: Detector, images: list[Image]) -> list[Detections]:
    return detector.detect(images, regions=lambda found: found.boxes)


def agree(first: Sequence[Detections], second: Sequence[Detections]) -> None:
    """The same sure objects in the same places, up to bfloat16."""
    for one, other in zip(first, second, strict=True):
        sure = one.scores > 0.3
        for box, label, score in zip(
            one.boxes[sure], np.array(one.labels)[sure], one.scores[sure], strict=True
        ):
            near = [
                row
                for row in np.flatnonzero(np.array(other.labels) == label)
                if np.abs(other.boxes[row] - box).max() < 4
                and abs(other.scores[row] - score) < 0.05
            ]
            assert near, (label, box, score)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_scaled_sizes_keep_both_limits_and_the_shape(height: int, width: int) -> None:
    high, wide = scaled_size(height, width, 416, 640)
    assert 1 <= min(high, wide) <= 416
    assert max(high, wide) <= 640
    assert min(high, wide) == 416 or max(high, wide) == 640
    assert abs(high * width - wide * height) <= max(height, width)


@given(st.integers(1, 900), st.integers(1, 900), st.floats(0.5, 4))
def test_scaled_sizes_are_enlarged_no_more_than_asked(
    height: int, width: int, enlarge: float
) -> None:
    free, bound = (scaled_size(height, width, 416, 640, by) for by in (math.inf, enlarge))
    for side, most, scaled in zip((height, width), free, bound, strict=True):
        assert scaled <= most
        assert scaled <= max(1, round(side * enlarge))
    assert bound == free or bound == scaled_size(height, width, 10**6, 10**6, enlarge)


def test_input_is_resized_with_antialiasing() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = to_input(stripes, (8, 8))
    assert small.shape == (3, 8, 8)
    assert (small - 0.5).abs().max() < 0.05


def test_drawn_objects_are_found(detector: Detector, drawn: Path) -> None:
    result = evaluate(detector.detect, drawn / "boxes.json", drawn)
    assert result.ap50 > 0.5


def test_records_are_well_formed(
    detector: Detector, images: list[Image], found: list[Detections]
) -> None:
    for image, one in zip(images, found, strict=True):
        assert (one.width, one.height) == (image.width, image.height)
        assert one.boxes.dtype == one.scores.dtype == np.float32
        assert one.boxes.shape == (len(one.scores), 4) == (len(one.labels), 4)
        assert set(one.labels) <= set(detector.categories)
        assert (np.diff(one.scores) <= 0).all()
        assert (one.scores >= detector.settings.min_score).all()
        assert (one.boxes >= 0).all()
        assert (one.boxes[:, [0, 2]] <= image.width).all()
        assert (one.boxes[:, [1, 3]] <= image.height).all()
        assert (one.boxes[:, 2:] > one.boxes[:, :2]).all()


def test_a_batch_gives_what_single_calls_give(
    detector: Detector, images: list[Image], found: list[Detections]
) -> None:
    singles = [detector.detect([image])[0] for image in images]
    agree(singles, found)
    agree(found, singles)


def test_order_does_not_matter(
    detector: Detector, images: list[Image], found: list[Detections]
) -> None:
    agree(found, detector.detect(images[::-1])[::-1])


def test_boxes_are_in_pixels_of_the_original(detector: Detector, images: list[Image]) -> None:
    without_limit = dataclasses.replace(detector.settings, enlarge=math.inf)
    detector = Detector(detector.model, without_limit, "cpu")  # both sizes are looked at alike
    overlaps = []
    for image in images:
        big = picture(image.pixels.repeat(2, 0).repeat(2, 1))
        once, twice = detector.detect([image])[0], detector.detect([big])[0]
        best = torch.tensor(once.boxes[once.scores > 0.8]), torch.tensor(twice.boxes / 2)
        overlaps += box_iou(*best).max(dim=1).values.tolist()
    assert len(overlaps) >= 8
    assert np.mean(np.array(overlaps) > 0.8) > 0.9


def whole(image: Image) -> np.ndarray:
    return np.array([[0, 0, image.width, image.height]], dtype=np.float32)


def test_pooled_features_go_with_the_boxes(found: list[Detections], detector: Detector) -> None:
    for one in found:
        assert one.pooled is not None
        assert one.pooled.shape == (len(one.boxes), 256 + 40 + 112 + 320)
        assert one.pooled.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(one.pooled, axis=1), 1, rtol=1e-4)
    assert detector.detect([blank(64, 64)])[0].pooled is None


def test_given_boxes_pool_as_found_ones(
    detector: Detector, images: list[Image], found: list[Detections]
) -> None:
    pooled = detector.pool(images, [one.boxes for one in found])
    for rows, one in zip(pooled, found, strict=True):
        assert one.pooled is not None
        assert ((rows * one.pooled).sum(axis=1) > 0.99).all()


def test_pooled_features_are_the_maps_own_averages(detector: Detector, images: list[Image]) -> None:
    image = images[0]
    size = detector._input_size(image)
    batch, _ = detector.model.transform([to_input(image.pixels, size)])
    with torch.inference_mode(), autocast(torch.device("cpu")):
        maps = list(detector.model.backbone.body(batch.tensors).values())
    crop = [
        level.float()[0, :, : -(-size[0] * level.shape[2] // batch.tensors.shape[2]),
                      : -(-size[1] * level.shape[3] // batch.tensors.shape[3])]
        for level in maps
    ]  # fmt: skip
    expected = torch.cat([level.mean(dim=(1, 2)) for level in crop[-2:]]).numpy()
    pooled = detector.pool([image], [whole(image)])[0][0, -432:]
    assert np.corrcoef(pooled, expected)[0, 1] > 0.9


def test_the_same_object_pools_alike_wherever_it_is(detector: Detector) -> None:
    rng = np.random.default_rng(5)
    looks = random_looks("outfit", rng)[:2]
    one, other = (draw_product(look, rng) for look in looks)
    photos = [one.image.resize((256, 256)), other.image.resize((256, 256))]
    pair = pil.new("RGB", (512, 256))
    for column, photo in enumerate(photos):
        pair.paste(photo, (256 * column, 0))
    single = [picture(np.array(photo)) for photo in photos]
    apart = [rows[0] for rows in detector.pool(single, [whole(image) for image in single])]
    halves = np.array([[0, 0, 256, 256], [256, 0, 512, 256]], dtype=np.float32)
    together = detector.pool([picture(np.array(pair))], [halves])[0]
    for half, alone, foreign in zip(together, apart, apart[::-1], strict=True):
        assert half @ alone > half @ foreign


def test_no_images_and_odd_images(detector: Detector) -> None:
    assert detector.detect([]) == []
    odd = [blank(1, 1), blank(900, 6), blank(5, 700), blank(416, 416)]
    boxes = detector.detect(odd, regions=lambda found: found.boxes)
    for one, image in zip(boxes, odd, strict=True):
        assert (one.width, one.height) == (image.width, image.height)
        assert not (one.scores > 0.5).any()
        assert one.pooled is not None
        assert one.pooled.shape == (len(one.boxes), 728)


@pytest.mark.parametrize("size", [(1, 1), (33, 33), (400, 1)])
def test_what_is_seen_first_changes_nothing_later(
    size: tuple[int, int], images: list[Image], found: list[Detections]
) -> None:
    """torchvision's pooling takes the strides of the maps from the first image, padded as it is."""
    fresh = load_detector("bundled", "cpu")
    fresh.detect([blank(*size)])
    for first, later in zip(found, fresh.detect(images), strict=True):
        np.testing.assert_array_equal(first.boxes, later.boxes)
        assert first.labels == later.labels


def test_the_head_adds_up_alike_with_any_number_of_threads(detector: Detector) -> None:
    """So that one process with many threads writes the bytes of many processes with one."""
    pooled = torch.rand(150, 128, 7, 7, generator=torch.Generator().manual_seed(3)) - 0.3
    before, outputs = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4, 8):
            torch.set_num_threads(threads)
            with torch.inference_mode(), autocast(torch.device("cpu")):
                outputs.append(detector.model.roi_heads.box_head(pooled.relu()))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(outputs[0], other) for other in outputs[1:])


def test_saved_weights_find_the_same_and_versions_tell_them_apart(tmp_path: Path) -> None:
    torch.manual_seed(3)
    settings = Settings(("bag", "hat"), min_score=0.0, thresholds={"hat": 0.3})
    model = faster_rcnn(settings)
    save_detector(model, settings, tmp_path / "one.safetensors", {"epochs": 0})
    changed = [
        dataclasses.replace(settings, short_side=384),
        dataclasses.replace(settings, thresholds={"hat": 0.4}),
    ]
    for name, others in zip(("size", "threshold"), changed, strict=True):
        save_detector(model, others, tmp_path / f"{name}.safetensors")
    first, again, *other = (
        load_detector(tmp_path / f"{name}.safetensors", "cpu")
        for name in ("one", "one", "size", "threshold")
    )
    assert first.categories == ("bag", "hat")
    assert first.settings == settings
    assert first.version == again.version
    assert len({one.version for one in (first, *other)}) == 3
    image = blank(120, 90)
    np.testing.assert_array_equal(first.detect([image])[0].boxes, again.detect([image])[0].boxes)
    half = first.model.state_dict()["roi_heads.box_head.fc6.weight"]
    torch.testing.assert_close(
        half, model.state_dict()["roi_heads.box_head.fc6.weight"], rtol=1e-3, atol=1e-5
    )
    assert json.loads((tmp_path / "one.json").read_text())["recipe"] == {"epochs": 0}


def test_missing_or_unfit_weights_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="give one of bundled"):
        load_detector(tmp_path / "missing.safetensors")
    with pytest.raises(FileNotFoundError, match="give one of bundled"):
        load_detector("yolo")
    with pytest.raises(FileNotFoundError, match="publishes no detection weights"):
        load_detector("resnet101_fpn")
    settings = Settings(("bag",))
    save_detector(faster_rcnn(settings), settings, tmp_path / "d.safetensors")
    described = json.loads((tmp_path / "d.json").read_text())
    described["settings"]["categories"] = ["bag", "hat"]
    (tmp_path / "d.json").write_text(json.dumps(described))
    with pytest.raises(ValueError, match="do not fit this detector"):
        load_detector(tmp_path / "d.safetensors")


def test_the_bundled_weights_are_small() -> None:
    assert BUNDLED.stat().st_size < 16_000_000


def test_garments_on_real_photos_are_found(
    detector: Detector, shared_data: Path, tmp_path: Path
) -> None:
    """Average precision at IoU .50 on every fifth photo held out of training."""
    coco = json.loads((shared_data / "fashion/boxes_val.json").read_text())
    coco["images"] = coco["images"][::5]
    kept = {photo["id"] for photo in coco["images"]}
    coco["annotations"] = [row for row in coco["annotations"] if row["image_id"] in kept]
    (tmp_path / "val.json").write_text(json.dumps(coco))
    result = evaluate(detector.detect, tmp_path / "val.json", shared_data / "fashion")
    assert result.ap50 > 0.5
