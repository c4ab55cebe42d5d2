import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from features.picture import colour_of, draw_objects

PLAIN = Image.new("RGB", (200, 120), (250, 250, 250))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image)


def test_a_box_is_drawn_where_it_is_and_the_given_image_stays() -> None:
    before = PLAIN.tobytes()
    drawn = draw_objects(PLAIN, np.array([[40.0, 30.0, 160.0, 110.0]]), [""], [0.5])
    changed = np.any(pixels(drawn) != pixels(PLAIN), axis=2)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert (columns[0], rows[0], columns[-1], rows[-1]) == (40, 30, 160, 110)
    assert not changed[40:100, 50:150].any()
    assert PLAIN.tobytes() == before


def test_the_dominant_box_has_the_thicker_line() -> None:
    boxes = np.array([[40.0, 30.0, 160.0, 110.0]])
    thin = draw_objects(PLAIN, boxes, [""], [0.5])
    thick = draw_objects(PLAIN, boxes, [""], [0.5], dominant=0)
    changed = [np.any(pixels(image) != pixels(PLAIN), axis=2).sum() for image in (thin, thick)]
    assert changed[1] > 1.5 * changed[0]


def test_the_plate_tells_the_score_and_leaves_out_a_missing_one() -> None:
    boxes = np.array([[40.0, 60.0, 160.0, 110.0]])
    pictures = [draw_objects(PLAIN, boxes, ["bag"], [s]) for s in (0.9, 0.1, float("nan"))]
    widths = [
        np.flatnonzero((pixels(p)[50] == colour_of("bag")).all(axis=1)).size for p in pictures
    ]
    assert pictures[0].tobytes() != pictures[1].tobytes()
    assert widths[2] < min(widths[:2])


def test_plates_of_two_boxes_in_one_place_do_not_cover_each_other() -> None:
    boxes = np.array([[40.0, 30.0, 160.0, 110.0]] * 2)
    drawn = pixels(draw_objects(PLAIN, boxes, ["bag", "shoes"], [0.9, 0.9]))
    for label in ("bag", "shoes"):
        assert (drawn == colour_of(label)).all(axis=2).sum() > 300


def test_without_objects_the_picture_is_the_image() -> None:
    drawn = draw_objects(PLAIN, np.zeros((0, 4)), [], [])
    assert drawn is not PLAIN
    assert drawn.tobytes() == PLAIN.tobytes()


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="as many labels"):
        draw_objects(PLAIN, np.zeros((2, 4)), ["bag"], [0.5, 0.5])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-1e4, 1e4), min_size=4, max_size=4),
    st.text(max_size=60),
    st.floats(0, 1) | st.just(float("nan")),
)
def test_any_box_and_any_label_can_be_drawn(box: list[float], label: str, score: float) -> None:
    drawn = draw_objects(PLAIN, np.array([box]), [label], [score], dominant=0)
    assert drawn.size == PLAIN.size


def test_garments_have_different_colours() -> None:
    worn = ["dress", "outerwear", "top", "pants", "skirt", "shoes", "bag", "hat"]
    assert len({colour_of(label) for label in worn}) == len(worn)


def test_drawing_needs_nothing_heavy() -> None:
    code = (
        "import sys, features.picture; "
        "print(sorted({'torch', 'pandas', 'scipy', 'pyarrow', 'sqlalchemy'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout.strip() == "[]", printed.stderr
