import numpy as np
import pandas as pd
import pytest

from features.weak.body import LEAST, WORN_AT, fits, heights


def photo(pin: str, edges: list[tuple[float, float]], height: int = 200) -> pd.DataFrame:
    return pd.DataFrame(edges, columns=["y1", "y2"], dtype=float).assign(pin_id=pin, height=height)


def test_a_wearer_reaches_from_the_first_box_to_the_last() -> None:
    boxes = photo("a", [(20, 30), (60, 120), (110, 180)])
    np.testing.assert_allclose(
        heights(boxes), [[0, 0.0625], [0.25, 0.625], [0.5625, 1]], atol=1e-12
    )


def test_a_wearer_whose_shoes_nobody_cropped_is_as_tall_as_the_others() -> None:
    whole = [(20.0, 30.0), (180.0, 190.0)]
    boxes = pd.concat([*(photo(pin, whole) for pin in "abcdefg"), photo("h", [(60, 105)])])
    np.testing.assert_allclose(heights(boxes)[-1], [(60 - 20) / 170, (105 - 20) / 170])


def test_photos_of_any_height_are_alike() -> None:
    small, large = photo("a", [(20, 30), (60, 120)]), photo("b", [(200, 300), (600, 1200)], 2000)
    both = heights(pd.concat([small, large], ignore_index=True))
    np.testing.assert_allclose(both[:2], both[2:])


def test_no_boxes_have_no_heights() -> None:
    assert heights(photo("a", [])).shape == (0, 2)
    assert fits(np.zeros((0, 2)), ("hat", "bag")).shape == (0, 2)


@pytest.mark.parametrize("category", WORN_AT)
def test_everything_fits_where_it_is_worn_and_nowhere_near_it_does_not(category: str) -> None:
    edges = np.array([WORN_AT[category][::2], WORN_AT[category][1::2]])
    np.testing.assert_allclose(fits(edges, (category,)), 1 + LEAST)
    away = edges + np.where(edges[:, :1] < 0.5, 0.5, -0.5)
    assert (fits(away, (category,)) < 2 * LEAST).all()


def test_a_category_without_a_place_fits_everywhere() -> None:
    edges = np.random.default_rng(0).uniform(0, 1, (50, 2))
    np.testing.assert_allclose(fits(edges, ("bag", "chair")), 1 + LEAST)


def test_the_further_from_its_place_the_less_a_thing_fits() -> None:
    down = np.linspace(0, 0.5, 11)
    fit = fits(np.stack([0.02 + down, 0.1 + down], axis=1), ("hat",))[:, 0]
    assert (np.diff(fit) <= 0).all()
    assert fit[0] > 0.9
    assert fit[-1] < 2 * LEAST
