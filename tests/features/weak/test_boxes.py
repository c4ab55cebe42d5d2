import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.boxes import iou
from features.weak.boxes import (
    JUNK,
    MARGIN,
    confidence,
    junk,
    tightened,
    votes_of,
    weak_boxes,
)

BAG, SHOE = (100.0, 200, 180, 300), (110.0, 600, 150, 640)


def cropped(n: int, box: tuple[float, ...], seed: int = 0, first: int = 0) -> tuple[list, list]:
    """n users, each with one crop whose edges are off by up to a tenth of the box."""
    dice = np.random.default_rng(seed)
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    boxes = np.array(box) + dice.uniform(-0.1, 0.1, (n, 4)) * sides
    return [f"u{first + user}" for user in range(n)], boxes.tolist()


def made(*parts: tuple[list, list]):
    users = np.array([user for names, _ in parts for user in names], dtype=object)
    boxes = np.array([box for _, places in parts for box in places]).reshape(-1, 4)
    return weak_boxes(users, boxes)


def test_two_objects_are_found_where_they_were_cropped() -> None:
    found = made(cropped(20, BAG), cropped(8, SHOE, seed=1, first=15))
    assert found.n_users.tolist() == [20, 8]
    assert found.n_croppers == 23
    assert (iou(found.boxes, np.array([BAG, SHOE])) > 0.9).all()
    assert (found.confidence > 0.99).all()


def test_no_crops_give_no_boxes() -> None:
    found = weak_boxes(np.array([], dtype=object), np.zeros((0, 4)))
    assert found.boxes.shape == (0, 4)
    assert len(found.n_users) == len(found.confidence) == found.n_croppers == 0


def test_one_busy_user_is_one_user() -> None:
    _, boxes = cropped(50, SHOE)
    found = made((["busy"] * 50, boxes), cropped(6, BAG))
    assert found.n_users.tolist() == [6, 1]
    assert len(votes_of(np.array(["busy"] * 50, dtype=object), np.array(boxes))[1]) <= 3


def test_the_median_is_not_moved_by_one_large_crop() -> None:
    found = made(cropped(9, BAG), (["wide"], [[85.0, 185, 195, 315]]))
    assert len(found.boxes) == 1
    assert iou(found.boxes[0], np.array(BAG)) > 0.9


def test_more_votes_than_are_clustered_are_all_counted() -> None:
    found = made(cropped(2500, BAG), cropped(300, SHOE, first=2500))
    assert found.n_users.tolist() == [2500, 300]


@pytest.mark.parametrize(
    ("box", "reason"),
    [((float("nan"), 0, 10, 10), "not a number"), ((50, 10, 10, 50), "inside out"),
     ((-80, 10, 10, 50), "outside the image"), ((10, 10, 13, 90), "tiny"),
     ((0, 0, 100, 95), "whole image"), ((-5, 10, 60, 60), "")],
)  # fmt: skip
def test_junk_has_a_reason(box: tuple[float, ...], reason: str) -> None:
    (row,) = junk(np.array([box], dtype=float), 100, 100)
    assert (JUNK[row] if row >= 0 else "") == reason


def test_a_lone_crop_counts_among_few_and_not_among_many() -> None:
    alone = [float(confidence(np.array([1]), n)[0]) for n in (1, 5, 20, 60)]
    assert alone == sorted(alone, reverse=True)
    assert alone[1] > 0.7
    assert alone[3] < 0.05
    assert (np.diff(confidence(np.arange(1, 30), 200)) >= 0).all()


edges = st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(5, 50), st.integers(5, 50))
crops = st.lists(st.tuples(st.sampled_from("abcdef"), edges), min_size=1, max_size=25)


def arrays(rows: list) -> tuple[np.ndarray, np.ndarray]:
    users = np.array([user for user, _ in rows], dtype=object)
    return users, np.array([(x, y, x + w, y + h) for _, (x, y, w, h) in rows], dtype=float)


def same(first, second) -> None:
    np.testing.assert_array_equal(first.boxes, second.boxes)
    np.testing.assert_array_equal(first.n_users, second.n_users)
    assert first.n_croppers == second.n_croppers


@given(crops, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_crops_does_not_matter(rows: list, dice) -> None:
    shuffled = dice.sample(rows, len(rows))
    same(weak_boxes(*arrays(rows)), weak_boxes(*arrays(shuffled)))


@given(crops, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_a_user_who_repeats_crops_adds_nothing(rows: list, times: int) -> None:
    repeated = rows + [row for row in rows if row[0] == rows[0][0]] * times
    same(weak_boxes(*arrays(rows)), weak_boxes(*arrays(repeated)))


@given(crops)
@settings(max_examples=60, deadline=None)
def test_boxes_are_inside_the_crops_and_counts_add_up(rows: list) -> None:
    users, boxes = arrays(rows)
    found = weak_boxes(users, boxes)
    assert (found.boxes[:, :2] >= boxes[:, :2].min(axis=0)).all()
    assert (found.boxes[:, 2:] <= boxes[:, 2:].max(axis=0)).all()
    assert found.n_users.max() <= found.n_croppers == len(set(users))
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    assert (np.diff(found.n_users) <= 0).all()


@given(st.lists(st.floats(10, 90), min_size=4, max_size=4), st.floats(1, 20))
def test_the_margin_that_people_leave_is_taken_off(edges: list[float], scale: float) -> None:
    corner, sides = scale * (200 + np.array(edges[:2])), scale * np.array(edges[2:])
    thing = np.concatenate([corner, corner + sides])
    left = MARGIN / (1 - 2 * MARGIN) * np.concatenate([-sides, sides])
    image = np.array([[500 * scale, 500 * scale]])
    np.testing.assert_allclose(tightened((thing + left)[None], image)[0], thing)


def test_a_crop_that_ends_with_the_image_stays_there() -> None:
    crops, sizes = np.array([[0.0, 0, 50, 100], [50, 20, 100, 100]]), np.array([[100, 100]] * 2)
    np.testing.assert_allclose(tightened(crops, sizes), [[0, 0, 47.5, 100], [52.5, 24, 100, 100]])
    assert tightened(np.zeros((0, 4)), np.zeros((0, 2))).shape == (0, 4)
