import numpy as np
import pytest

from features.visuals.colour import colour_distance, lab, salient_colour


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((255, 0, 0), (54.3, 80.8, 69.9)),
        ((0, 255, 0), (87.8, -79.3, 81.0)),
        ((0, 0, 255), (29.6, 68.3, -112.0)),
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
    ],
)
def test_lab_of_the_corners_of_srgb_under_d50(rgb: tuple, expected: tuple) -> None:
    # reference values: Bruce Lindbloom's CIE colour calculator, sRGB adapted to D50
    np.testing.assert_allclose(lab(np.array([[rgb]], dtype=np.uint8))[0, 0], expected, atol=1.0)


def test_the_object_in_the_middle_wins_over_a_larger_background() -> None:
    crop = np.full((100, 100, 3), 255, dtype=np.uint8)
    crop[25:75, 25:75] = (200, 30, 30)
    red = lab(np.array([[(200, 30, 30)]], dtype=np.uint8))[0, 0]
    assert colour_distance(salient_colour(crop), red) < 3


def test_a_pattern_gives_its_most_common_colour() -> None:
    crop = np.zeros((90, 90, 3), dtype=np.uint8)
    crop[:] = (30, 60, 200)
    crop[::9] = (240, 240, 240)
    blue = lab(np.array([[(30, 60, 200)]], dtype=np.uint8))[0, 0]
    assert colour_distance(salient_colour(crop), blue) < 25


def test_one_pixel_and_one_colour() -> None:
    crop = np.full((1, 1, 3), 90, dtype=np.uint8)
    np.testing.assert_allclose(salient_colour(crop), lab(crop)[0, 0], atol=1e-4)
