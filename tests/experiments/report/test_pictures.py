import base64
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from experiments.report.pictures import (
    LARGE,
    MEDIUM,
    SMALL,
    Photo,
    crop_density,
    data_uri,
    heat,
    load_photo,
    with_boxes,
)

edge = st.integers(-3, 12)


@settings(deadline=None)
@given(st.lists(st.tuples(edge, edge, edge, edge, st.sampled_from("abc")), max_size=8))
def test_density_is_the_mean_over_users_of_the_share_of_their_crops(
    drawn: list[tuple[int, int, int, int, str]],
) -> None:
    crops = [(min(a, c), min(b, d), max(a, c), max(b, d), user) for a, b, c, d, user in drawn]
    expected = np.zeros((7, 9))
    users = {crop[4] for crop in crops}
    for user in users:
        own = [crop for crop in crops if crop[4] == user]
        for x1, y1, x2, y2, _ in own:
            inside = np.zeros_like(expected)
            inside[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = 1
            expected += inside / len(own) / len(users)
    boxes = np.array([crop[:4] for crop in crops], float).reshape(-1, 4)
    found = crop_density(boxes, [crop[4] for crop in crops], (9, 7))
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_busy_user_does_not_decide_where_it_is_hot() -> None:
    left, right = [0.0, 0, 40, 80], [40.0, 0, 80, 80]
    users = ["busy"] * 50 + ["ann", "bob", "eve"]
    photo = Photo(Image.new("RGB", (80, 80), "grey"), 1.0)
    hot = np.asarray(heat(photo, np.array([left] * 50 + [right] * 3), users), float)
    warmth = hot[..., 0] - hot[..., 2]
    assert warmth[:, 60].mean() > warmth[:, 20].mean() + 20


def test_heat_lies_on_the_crop_in_pixels_of_the_original() -> None:
    photo = Photo(Image.new("RGB", (100, 50), "grey"), 0.5)
    hot = np.asarray(heat(photo, np.array([[120.0, 20, 180, 80]]), ["ann"]), float)
    rows, columns = np.nonzero(hot[..., 0] - hot[..., 2] > 60)
    assert (round(columns.mean()), round(rows.mean())) == (74, 24)


def test_without_crops_the_photo_is_only_grey() -> None:
    photo = Photo(Image.new("RGB", (30, 30), "red"), 1.0)
    plain = np.asarray(heat(photo, np.zeros((0, 4)), []))
    assert np.ptp(plain, axis=2).max() == 0


def test_a_photo_is_made_smaller_never_larger(tmp_path: Path) -> None:
    Image.new("RGB", (2000, 1000), "navy").save(tmp_path / "large.jpg")
    Image.new("RGB", (30, 60), "navy").save(tmp_path / "small.png")
    large, small = (load_photo(tmp_path / name, LARGE) for name in ("large.jpg", "small.png"))
    assert large is not None
    assert small is not None
    assert (large.image.size, large.scale) == ((440, 220), 0.22)
    assert (small.image.size, small.scale) == ((30, 60), 1.0)


def test_a_photo_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (60, 30)).save(tmp_path / "turned.jpg", exif=exif)
    photo = load_photo(tmp_path / "turned.jpg", LARGE)
    assert photo is not None
    assert photo.image.size == (30, 60)


def test_what_is_no_photo_is_none(tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("<html>")
    assert load_photo(tmp_path / "page.jpg", LARGE) is None
    assert load_photo(tmp_path / "missing.jpg", LARGE) is None
    assert load_photo(tmp_path, LARGE) is None


def test_boxes_are_scaled_with_the_photo() -> None:
    photo = Photo(Image.new("RGB", (100, 100), "white"), 0.25)
    drawn = with_boxes(photo, np.array([[80.0, 120, 240, 320]]), [""], [1.0])
    rows, columns = np.nonzero(np.any(np.asarray(drawn) != 255, axis=2))
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (20, 30, 60, 80)


@pytest.mark.parametrize("size", [LARGE, MEDIUM, SMALL])
def test_a_data_uri_is_a_jpeg_of_bounded_size_whatever_the_photo(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    head, _, data = data_uri(Image.fromarray(noise)).partition(",")
    assert head == "data:image/jpeg;base64"
    raw = base64.b64decode(data)
    assert len(raw) <= 0.28 * size[0] * size[1]
    with Image.open(io.BytesIO(raw)) as image:
        assert (image.format, image.size) == ("JPEG", size)
