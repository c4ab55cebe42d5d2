import numpy as np
import pandas as pd
import pytest

from features.weak.annotations import parts
from features.weak.body import LEAST, SECOND, SIZE, WORN_AT, WORN_ONCE, fits, on_body, one_of_each

IN_SIZE = {category: np.sqrt([low * high for low, high in np.reshape(bounds, (2, 2))])
           for category, bounds in SIZE.items()}  # fmt: skip


def photo(pin: str, edges: list[tuple[float, float]], height: int = 200) -> pd.DataFrame:
    """Boxes with these upper and lower edges, a tenth of the photo's height wide."""
    boxes = pd.DataFrame(edges, columns=["y1", "y2"], dtype=float)
    return boxes.assign(pin_id=pin, height=height, x1=height / 2, x2=height * 0.6)


def worn(edges: np.ndarray, category: str) -> np.ndarray:
    """Boxes with these edges on the body, as large as the category may be."""
    size = IN_SIZE.get(category, np.array([0.1, 0.1]))
    return np.hstack([edges, np.broadcast_to(size, (len(edges), 2))])


def test_a_wearer_reaches_from_the_first_box_to_the_last() -> None:
    boxes = photo("a", [(20, 30), (60, 120), (110, 180)])
    wide = 20 / 160
    np.testing.assert_allclose(
        on_body(boxes),
        [[0, 0.0625, wide, 0.0625], [0.25, 0.625, wide, 0.375], [0.5625, 1, wide, 0.4375]],
        atol=1e-12,
    )


def test_a_wearer_whose_shoes_nobody_cropped_is_as_tall_as_the_others() -> None:
    whole = [(20.0, 30.0), (180.0, 190.0)]
    boxes = pd.concat([*(photo(pin, whole) for pin in "abcdefg"), photo("h", [(60, 105)])])
    np.testing.assert_allclose(on_body(boxes)[-1, :2], [(60 - 20) / 170, (105 - 20) / 170])


def test_photos_of_any_height_are_alike() -> None:
    small, large = photo("a", [(20, 30), (60, 120)]), photo("b", [(200, 300), (600, 1200)], 2000)
    both = on_body(pd.concat([small, large], ignore_index=True))
    np.testing.assert_allclose(both[:2], both[2:])


def test_no_boxes_are_nowhere() -> None:
    assert on_body(photo("a", [])).shape == (0, 4)
    assert fits(np.zeros((0, 4)), ("hat", "bag")).shape == (0, 2)


@pytest.mark.parametrize("category", WORN_AT)
def test_everything_fits_where_it_is_worn_and_nowhere_near_it_does_not(category: str) -> None:
    edges = np.array([WORN_AT[category][::2], WORN_AT[category][1::2]])
    np.testing.assert_allclose(fits(worn(edges, category), (category,)), 1 + LEAST)
    away = edges + np.where(edges[:, :1] < 0.5, 0.5, -0.5)
    assert (fits(worn(away, category), (category,)) < 2 * LEAST).all()


@pytest.mark.parametrize("category", SIZE)
def test_what_has_a_size_is_neither_half_nor_twice_of_it(category: str) -> None:
    edges = np.tile(
        np.mean(np.reshape(WORN_AT.get(category, (0, 1, 0, 1)), (2, 2)), axis=1), (5, 1)
    )
    least_wide, most_wide, least_high, most_high = SIZE[category]
    wide, high = IN_SIZE[category]
    sizes = [
        [wide, high], [least_wide / 2, high], [2 * most_wide, high],
        [wide, least_high / 2], [wide, 2 * most_high],
    ]  # fmt: skip
    fit = fits(np.hstack([edges, np.array(sizes)]), (category,))[:, 0]
    np.testing.assert_allclose(fit[0], 1 + LEAST)
    assert (fit[1:] < 2 * LEAST).all()


def test_a_category_without_a_place_and_a_size_fits_everywhere() -> None:
    anywhere = np.random.default_rng(0).uniform(0, 1, (50, 4))
    np.testing.assert_allclose(fits(anywhere, ("chair", "rug")), 1 + LEAST)


def test_the_further_from_its_place_the_less_a_thing_fits() -> None:
    down = np.linspace(0, 0.5, 11)
    fit = fits(worn(np.stack([0.02 + down, 0.1 + down], axis=1), "hat"), ("hat",))[:, 0]
    assert (np.diff(fit) <= 0).all()
    assert fit[0] > 0.9
    assert fit[-1] < 2 * LEAST


NAMES = ("bag", "outerwear", "shoes", "top")


def drawn_shares(n: int) -> np.ndarray:
    return np.random.default_rng(3).dirichlet(np.ones(len(NAMES)), n)


def test_beside_a_jacket_for_sure_a_second_one_is_a_tenth_as_likely() -> None:
    (other,) = drawn_shares(1)
    shares = np.stack([[0.0, 1.0, 0.0, 0.0], other])
    posterior = other * [1, SECOND, 1, 1]
    found = one_of_each(shares, np.zeros(2, dtype=int), NAMES)
    np.testing.assert_allclose(found, np.stack([shares[0], posterior / posterior.sum()]))


def test_what_is_worn_in_pairs_or_carried_may_be_there_twice() -> None:
    shares = drawn_shares(30) * [1, 0, 1, 0]
    shares = parts(shares)
    found = one_of_each(shares, np.zeros(30, dtype=int), NAMES)
    np.testing.assert_allclose(found, shares)
    assert not {"bag", "shoes"} & WORN_ONCE


def test_boxes_of_other_photos_and_their_order_make_no_difference() -> None:
    shares, pins = drawn_shares(40), np.arange(40) // 4
    together = one_of_each(shares, pins, NAMES)
    np.testing.assert_allclose(together.sum(axis=1), 1)
    alone = [one_of_each(shares[pins == pin], np.zeros(4, dtype=int), NAMES) for pin in range(10)]
    np.testing.assert_allclose(together, np.concatenate(alone))
    mixed = np.random.default_rng(5).permutation(40)
    np.testing.assert_allclose(one_of_each(shares[mixed], pins[mixed], NAMES), together[mixed])


def test_a_box_alone_keeps_its_shares() -> None:
    shares = drawn_shares(5)
    np.testing.assert_allclose(one_of_each(shares, np.arange(5), NAMES), shares)
    assert one_of_each(np.zeros((0, 4)), np.zeros(0, dtype=int), NAMES).shape == (0, 4)
