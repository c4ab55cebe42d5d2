import json
import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image as pil
from safetensors.torch import load_file

from experiments.world.appearance import random_looks
from experiments.world.scenes import draw_outfit
from features.detector import training
from features.detector.bundled import train_bundled
from features.detector.detector import load_detector, save_detector
from features.detector.evaluation import evaluate
from features.detector.examples import (
    UNSURE,
    Example,
    Variety,
    augmented,
    batches,
    cropped,
    read_coco,
    repeated,
)
from features.detector.faster_rcnn import FROZEN_LAYERS, Settings, faster_rcnn
from features.detector.training import Recipe, categories_of, scaled, train
from features.images.images import load_image

SMALL = Variety(short_sides=(96, 128), long_side=160, crop_share=0.3)


def squares(folder: Path, photos: int, names: tuple[str, ...] = ("red", "blue")) -> Path:
    """Photos of one red and one blue square each, with their boxes under two names."""
    rng = np.random.default_rng(4)
    colours = ((210, 30, 30), (30, 30, 210))
    images, annotations = [], []
    for number in range(1, photos + 1):
        photo = pil.new("RGB", (128, 112 if number % 2 else 128), (190, 190, 180))
        for category, colour in enumerate(colours, start=1):
            side = int(rng.integers(28, 50))
            x = (category - 1) * 64 + int(rng.integers(0, 64 - side))
            y = int(rng.integers(0, 112 - side))
            photo.paste(colour, (x, y, x + side, y + side))
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": category,
                "bbox": [x, y, side, side], "area": side * side, "iscrowd": 0,
            })  # fmt: skip
        photo.save(folder / f"{number}.png")
        size = {"width": photo.width, "height": photo.height}
        images.append({"id": number, "file_name": f"{number}.png", **size})
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    path = folder / "boxes.json"
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return path


def test_it_learns_squares(tmp_path: Path) -> None:
    path = squares(tmp_path, 20)
    recipe = Recipe(
        epochs=4,
        batch_size=4,
        learning_rate=1e-3,
        warm_up_steps=4,
        ema_decay=0.5,
        variety=Variety(short_sides=(96,), crop_share=0.0),
        short_side=96,
        long_side=160,
    )
    out = train([(path, tmp_path)], tmp_path / "weights" / "squares.safetensors", recipe)
    detector = load_detector(out, "cpu")
    assert detector.categories == ("red", "blue")
    assert evaluate(detector.detect, path, tmp_path).ap50 > 0.7
    assert sorted(file.name for file in out.parent.iterdir()) == [
        "squares.json", "squares.png", "squares.safetensors"
    ]  # fmt: skip
    losses = json.loads(out.with_suffix(".json").read_text())["recipe"]["losses"]
    assert len(losses) == 4
    assert sum(losses[3].values()) < sum(losses[0].values())


def test_a_stopped_training_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = squares(tmp_path, 4)
    recipe = Recipe(epochs=2, batch_size=2, warm_up_steps=1, variety=SMALL)
    whole = train([(path, tmp_path)], tmp_path / "whole.safetensors", recipe)
    one_epoch = training._Run.one_epoch

    def stopped(run: training._Run, *arguments: object) -> None:
        if run.epoch == 1:
            raise KeyboardInterrupt
        one_epoch(run, *arguments)  # type: ignore[arg-type]

    halves = tmp_path / "halves.safetensors"
    with monkeypatch.context() as patched:
        patched.setattr(training._Run, "one_epoch", stopped)
        with pytest.raises(KeyboardInterrupt):
            train([(path, tmp_path)], halves, recipe)
    assert halves.with_suffix(".checkpoint").exists()
    assert not halves.exists()
    with pytest.raises(ValueError, match="of another training"):
        train([(path, tmp_path)], halves, Recipe(epochs=5, variety=SMALL))
    train([(path, tmp_path)], halves, recipe)
    epochs = [json.loads(file.with_suffix(".json").read_text())["recipe"]["losses"]
              for file in (whole, halves)]  # fmt: skip
    for first, second in zip(*epochs, strict=True):
        assert first == pytest.approx(second, rel=0.05, abs=1e-3)
    one, other = (load_detector(file, "cpu").model.state_dict() for file in (whole, halves))
    for key, value in one.items():
        torch.testing.assert_close(other[key], value, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("architecture", ["lite0", "resnet50_fpn"])
def test_first_layers_stay_and_others_move(architecture: str, tmp_path: Path) -> None:
    path = squares(tmp_path, 2)
    settings = Settings(("red", "blue", "green"), architecture)
    start = tmp_path / "start.safetensors"
    torch.manual_seed(1)
    save_detector(faster_rcnn(settings, pretrained=False), settings, start)
    recipe = Recipe(epochs=1, batch_size=2, warm_up_steps=1, ema_decay=0.1, variety=SMALL)
    out = train([(path, tmp_path)], tmp_path / "out.safetensors", recipe, device="cpu",
                architecture=architecture, start=start)  # fmt: skip
    before, after = load_file(start), load_file(out)
    first = [f"backbone.body.{name}." for name in FROZEN_LAYERS[architecture]]
    stays = {key for key in before if key.startswith(tuple(first))}
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert stays
    assert not stays & moved
    assert {key.split(".")[0] for key in moved} == {"backbone", "rpn", "roi_heads"}
    described = json.loads(out.with_suffix(".json").read_text())
    assert described["recipe"]["frozen"] == list(FROZEN_LAYERS[architecture])
    detector = load_detector(out, "cpu")
    assert detector.categories == settings.categories
    assert len(detector.detect([load_image(tmp_path / "1.png")])) == 1


def test_the_bundled_detector_is_trained_on_five_sources(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("fashion", "scenes", "everyday")]
    pairs = [("bag", "hat"), ("lamp", "rug"), ("chair", "vase")]
    for folder, names in zip(folders, pairs, strict=True):
        folder.mkdir()
        squares(folder, 2, names).rename(folder / "boxes_train.json")
    fashion, scenes, everyday = folders
    (scenes / "boxes_train.json").rename(scenes / "boxes.json")
    rng = np.random.default_rng(5)
    draw_outfit(random_looks("outfit", rng), rng).image.save(fashion / "unboxed.png")
    pairs = [("caps", "1.png"), ("shirts", "1.png"), ("outfits", "1.png"),
             ("outfits", "unboxed.png")]  # fmt: skip
    pins = [{"pin_id": f"p{n}", "image": image, "board": board}
            for n, (board, image) in enumerate(pairs)]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(pins), fashion / "pins.parquet")
    recipe = scaled(Recipe(epochs=1, batch_size=4, warm_up_steps=1), 64)
    out = train_bundled(fashion, scenes, everyday, tmp_path / "out" / "again.safetensors", recipe)
    described = json.loads(out.with_suffix(".json").read_text())
    # Of the pins those on a board of products, and the outfit that nobody boxed.
    assert described["recipe"]["photos"] == 2 + 2 + 2 + 2 + 1
    assert described["recipe"]["start"] == "detector.safetensors"
    assert tuple(described["settings"]["categories"]) == load_detector().categories
    assert len(list(out.parent.iterdir())) == 3


def test_training_goes_on_only_from_weights_that_know_the_categories(tmp_path: Path) -> None:
    path = squares(tmp_path, 1)
    settings = Settings(("red",))
    start, out = tmp_path / "start.safetensors", tmp_path / "out.safetensors"
    save_detector(faster_rcnn(settings), settings, start)
    with pytest.raises(ValueError, match="does not know blue"):
        train([(path, tmp_path)], out, start=start)
    with pytest.raises(ValueError, match=r"written as \.safetensors"):
        train([(path, tmp_path)], tmp_path / "out.json")


def test_the_boxes_are_not_overwritten_by_the_recipe(tmp_path: Path) -> None:
    path = squares(tmp_path, 1)
    before = path.read_text()
    with pytest.raises(ValueError, match="give the weights another name"):
        train([(path, tmp_path)], path.with_suffix(".safetensors"))
    assert path.read_text() == before


def test_a_recipe_scales_as_a_whole() -> None:
    assert scaled(Recipe(), Recipe().short_side) == Recipe()
    small = scaled(Recipe(), 112)
    assert (small.short_side, small.long_side, small.variety.long_side) == (112, 172, 168)
    assert small.variety.short_sides == (88, 96, 104, 112)


def test_the_rate_warms_up_and_ends_low() -> None:
    recipe = Recipe(epochs=3, batch_size=2, warm_up_steps=5)
    run = training._Run(training.faster_rcnn(training.Settings(("a",))), recipe, 20, "cpu")
    rates = [run._rate(step) for step in range(31)]
    assert run.steps == 10
    assert rates[0] == pytest.approx(0.2)
    assert rates[4] == max(rates)
    assert np.all(np.diff(rates[4:]) < 0)
    assert rates[30] == pytest.approx(0.01)
    assert rates[15] == pytest.approx(0.01 + 0.99 * (1 + math.cos(math.pi / 2)) / 2)


def test_categories_are_the_union_in_first_seen_order(tmp_path: Path) -> None:
    files = []
    for number, names in enumerate([["bag", "hat"], ["hat", "chair"]]):
        path = tmp_path / f"{number}.json"
        categories = [{"id": 9 - column, "name": name} for column, name in enumerate(names)]
        path.write_text(json.dumps({"images": [], "annotations": [], "categories": categories}))
        files.append((path, tmp_path))
    assert categories_of(files) == ("bag", "hat", "chair")
    with pytest.raises(ValueError, match="at least one photo with a box"):
        train(files, tmp_path / "out.safetensors")


def test_boxes_are_read_by_name_and_crowds_left_out(tmp_path: Path) -> None:
    path = squares(tmp_path, 2)
    coco = json.loads(path.read_text())
    coco["annotations"][0]["iscrowd"] = 1
    coco["annotations"][3]["bbox"][2] = 0
    path.write_text(json.dumps(coco))
    first, second = read_coco(path, tmp_path, ("blue", "green", "red"))
    assert (first.labels.tolist(), second.labels.tolist()) == ([1], [3])
    x, y, width, height = coco["annotations"][1]["bbox"]
    assert first.boxes.tolist() == [[x, y, x + width, y + height]]


def test_what_is_unsure_is_neither_its_category_nor_background(tmp_path: Path) -> None:
    path = squares(tmp_path, 1)
    coco = json.loads(path.read_text())
    coco["annotations"][0]["unsure"] = 1
    path.write_text(json.dumps(coco))
    (photo,) = read_coco(path, tmp_path, ("red", "blue"))
    assert photo.labels.tolist() == [UNSURE, 2]
    heads = faster_rcnn(Settings(("red", "blue")), pretrained=False).roi_heads
    boxes, labels = torch.from_numpy(photo.boxes), torch.from_numpy(photo.labels)
    elsewhere = torch.tensor([[100.0, 100, 120, 112]])
    _, given = heads.assign_targets_to_proposals([torch.cat([boxes, elsewhere])], [boxes], [labels])
    assert given[0].tolist() == [-1, 2, 0]
    sampled = torch.cat([*heads.subsample(given)])
    assert sorted(sampled.tolist()) == [1, 2]


@pytest.fixture
def example(tmp_path: Path) -> Example:
    path = squares(tmp_path, 1)
    return read_coco(path, tmp_path, ("red", "blue"))[0]


@pytest.mark.parametrize("seed", range(8))
def test_boxes_follow_the_pixels(example: Example, seed: int) -> None:
    pixels, target = augmented(example, 150, Variety(crop_share=0.5), random.Random(seed))
    redness, blueness = pixels[0] - pixels[2], pixels[2] - pixels[0]
    assert len(target["boxes"])
    for box, label in zip(target["boxes"], target["labels"], strict=True):
        x1, y1, x2, y2 = (round(float(edge)) for edge in box)
        colour = redness if label == 1 else blueness
        inside = colour[y1 + 3 : y2 - 3, x1 + 3 : x2 - 3]
        assert inside.min() > 0.2
        around = colour.clone()
        around[max(y1 - 3, 0) : y2 + 3, max(x1 - 3, 0) : x2 + 3] = 0
        if len(target["boxes"]) == 2:
            assert around.max() < 0.2


def test_a_window_keeps_only_boxes_mostly_inside() -> None:
    photo = np.zeros((100, 100, 3), np.uint8)
    boxes = np.array([[0, 0, 100, 100], [0, 0, 8, 8], [92, 92, 100, 100]], np.float32)
    labels = np.array([1, 2, 3])
    dropped = 0
    for seed in range(40):
        window, inside, kept = cropped(photo, boxes, labels, random.Random(seed))
        height, width = window.shape[:2]
        assert (inside >= 0).all()
        assert (inside <= [width, height, width, height]).all()
        assert (1 in kept) == (height * width >= 5000) or len(kept) == 3
        dropped += len(kept) < 3
    assert dropped > 20


def test_an_epoch_shows_every_example_once(tmp_path: Path) -> None:
    path = squares(tmp_path, 7)
    examples = read_coco(path, tmp_path, ("red", "blue"))
    shapes = Variety(short_sides=(64,), crop_share=0.0)
    epochs = [list(batches(examples, 3, shapes, 1, epoch)) for epoch in (0, 0, 1)]
    for drawn in epochs:
        assert sorted(len(images) for images, _ in drawn) == [1, 3, 3]
        boxes = [box for _, targets in drawn for row in targets for box in row["boxes"].tolist()]
        assert len(boxes) == 14
    first, again, later = (torch.cat([row.flatten() for b in e for row in b[0]]) for e in epochs)
    assert torch.equal(first, again)
    assert first.shape != later.shape or not torch.equal(first, later)


def test_batches_do_not_depend_on_who_decodes_them(tmp_path: Path) -> None:
    examples = read_coco(squares(tmp_path, 7), tmp_path, ("red", "blue"))
    one, many = (
        [images for images, _ in batches(examples, 2, Variety(), 1, 0, workers=workers)]
        for workers in (1, 5)
    )
    assert len(one) == len(many) == 4
    for first, second in zip(one, many, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_last_batch_may_be_left_out_unless_it_is_the_only_one(tmp_path: Path) -> None:
    examples = read_coco(squares(tmp_path, 7), tmp_path, ("red", "blue"))
    full = [len(images) for images, _ in batches(examples, 3, Variety(), 1, 0, drop_last=True)]
    only = [len(images) for images, _ in batches(examples, 9, Variety(), 1, 0, drop_last=True)]
    assert (full, only) == ([3, 3], [7])


def test_an_example_is_shown_as_often_as_it_says(tmp_path: Path) -> None:
    path = squares(tmp_path, 2)
    seldom, often = read_coco(path, tmp_path, ("red", "blue"))
    examples = [replace(seldom, times=0.25), replace(often, times=2.5)]
    shapes = Variety(short_sides=(32,), crop_share=0.0)
    shown = {0: 0, 1: 0}
    for epoch in range(80):
        for images, _ in batches(examples, 1, shapes, 1, epoch):
            shown[int(images[0].shape[-1] == images[0].shape[-2])] += 1
    # The first photo is 112 pixels wide, the second 128, as high as wide.
    assert shown[0] == pytest.approx(80 * 0.25, abs=10)
    assert shown[1] == pytest.approx(80 * 2.5, abs=12)
    nothing = [replace(seldom, times=0.0)]
    assert list(batches(nothing, 1, shapes, 1, 0)) == []


def test_photos_of_rare_categories_are_shown_more_often(example: Example) -> None:
    photos = [replace(example, labels=np.array(labels)) for labels in [[1]] * 7 + [[1, 2]]]
    often = [photo.times for photo in repeated(photos, 0.5)]
    assert often == [1.0] * 7 + [pytest.approx(math.sqrt(0.5 / (1 / 8)))]
    assert [photo.times for photo in repeated(photos, 0.125)] == [1.0] * 8
    halved = [replace(photo, times=0.5) for photo in photos]
    assert repeated(halved, 0.5)[7].times == pytest.approx(0.5 * often[7])
    assert repeated([], 0.5) == []
    unsure = replace(example, labels=np.array([UNSURE]))
    assert [photo.times for photo in repeated([*photos, unsure], 0.1)] == [1.0] * 9
