import json

import numpy as np
import pytest

from experiments.world.appearance import Appearance, random_looks
from experiments.world.coco import write_boxes
from experiments.world.scenes import (
    _Canvas,
    draw_outfit,
    draw_product,
    draw_room,
    random_setting,
)

RED = Appearance("bag", "red", (190, 40, 44), "plain", 0)
BLUE = Appearance("hat", "blue", (78, 128, 196), "plain", 0)
KINDS = ("product", "outfit", "room")


def draw(kind, seed, setting=None):
    rng = np.random.default_rng(seed)
    looks = random_looks(kind, rng)
    if kind == "product":
        return draw_product(looks[0], rng, setting)
    return (draw_outfit if kind == "outfit" else draw_room)(looks, rng, setting)


def paste(canvas, look, x, y, w, h):
    """Pastes a w x h block of the look with its left top corner at x, y."""
    paint = np.broadcast_to(np.array(look.rgb, np.float32), (h, w, 3))
    canvas.paste(look, paint, np.ones((h, w), np.float32), x + w / 2, y + h / 2, 2)


def test_boxes_are_tight_around_what_can_be_seen():
    canvas = _Canvas(np.full((40, 60, 3), 255, np.float32))
    paste(canvas, RED, 10, 6, 20, 10)
    paste(canvas, BLUE, 20, 0, 30, 30)
    red, blue = canvas.scene("outfit", 0.0).objects
    assert red.box == (10, 6, 20, 16)
    assert red.visible == pytest.approx(0.5)
    assert blue.box == (20, 0, 50, 30)
    assert blue.visible == 1.0


def test_what_leaves_the_picture_is_cut_and_what_is_covered_has_no_box():
    canvas = _Canvas(np.full((40, 60, 3), 255, np.float32))
    paste(canvas, RED, -10, 30, 20, 20)
    paste(canvas, RED, 40, 10, 4, 4)
    paste(canvas, BLUE, 38, 8, 12, 12)
    corner, cover = canvas.scene("room", 0.0).objects
    assert corner.box == (0, 30, 10, 40)
    assert corner.visible == pytest.approx(0.25)
    assert cover.appearance == BLUE


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_draws_the_same_scene_and_another_seed_another(kind):
    first, again, other = draw(kind, 5), draw(kind, 5), draw(kind, 6)
    assert first.objects == again.objects
    assert first.image.tobytes() == again.image.tobytes()
    assert first.image.tobytes() != other.image.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_lie_inside_the_picture_and_objects_can_mostly_be_seen(kind):
    visible = []
    for seed in range(12):
        scene = draw(kind, seed)
        for thing in scene.objects:
            x1, y1, x2, y2 = thing.box
            assert 0 <= x1 < x2 <= scene.image.width
            assert 0 <= y1 < y2 <= scene.image.height
            visible.append(thing.visible)
    assert np.mean(visible) > 0.8


def test_the_box_of_a_product_holds_what_differs_from_its_background():
    setting = random_setting(np.random.default_rng(1), "product")
    for seed in range(6):
        red = draw_product(RED, np.random.default_rng(seed), setting)
        teal = Appearance("bag", "teal", (40, 132, 138), "plain", 0)
        other = draw_product(teal, np.random.default_rng(seed), setting)
        change = np.abs(np.asarray(red.image, int) - np.asarray(other.image, int)).max(2) > 80
        ys, xs = np.nonzero(change)
        x1, y1, x2, y2 = red.objects[0].box
        assert red.objects[0].box == other.objects[0].box
        # the bag's body reaches the left, right and lower edge; its handle has its own colour
        assert x1 <= xs.min() <= x1 + 3
        assert x2 - 4 <= xs.max() < x2
        assert y2 - 4 <= ys.max() < y2
        assert y1 <= ys.min()


@pytest.mark.parametrize("kind", ["outfit", "room"])
def test_scenes_of_one_setting_look_alike_as_a_whole(kind):
    here, there = (random_setting(np.random.default_rng(seed), kind) for seed in (1, 2))

    def small(seed, setting):
        return np.asarray(draw(kind, seed, setting).image.resize((24, 24)), float)

    for seed in range(5):
        same = np.median(np.abs(small(seed, here) - small(seed + 50, here)))
        different = np.median(np.abs(small(seed, here) - small(seed + 50, there)))
        assert same < different


def test_coco_boxes_are_those_of_the_scenes(tmp_path):
    scenes = [(f"{kind}.png", draw(kind, 3)) for kind in KINDS]
    written = write_boxes(tmp_path / "boxes.json", iter(scenes))
    coco = json.loads((tmp_path / "boxes.json").read_text())
    names = {c["id"]: c["name"] for c in coco["categories"]}
    assert names[1] == "dress"
    assert names[14] == "watch"
    assert [image["file_name"] for image in coco["images"]] == [name for name, _ in scenes]
    found = [
        (names[a["category_id"]], a["bbox"][0] + a["bbox"][2], a["bbox"][1] + a["bbox"][3])
        for a in coco["annotations"]
    ]
    things = [thing for _, scene in scenes for thing in scene.objects]
    assert found == [(t.appearance.category, t.box[2], t.box[3]) for t in things]
    assert written == len(things)
