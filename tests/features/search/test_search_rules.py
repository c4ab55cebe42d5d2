"""The parts of a search: merging, likeness, agreement, and how matches are judged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.embedding.embedding import unit
from features.search.agreement import agreement, signs
from features.search.likeness import by_likeness, likeness
from features.search.merging import distinct, one_per_image, things
from features.search.quality import Truth, fitted, mean_of, precision, product_kinds, title_colour
from features.search.results import Match


def match(
    pin: str, category: str = "bag", cosine: float = 0.8, colour: tuple[float, ...] = (50, 0, 0)
) -> Match:
    return Match(pin, f"content of {pin}", 0, category, 0.9, (0, 0, 9, 9), cosine, colour)


@given(st.integers(0, 1000), st.integers(1, 30), st.floats(-0.5, 0.99), st.integers(1, 30))
def test_kept_rows_are_apart_and_dropped_ones_near_a_kept_one(
    seed: int, n: int, same: float, most: int
) -> None:
    vectors = unit(np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32))
    cosines = vectors @ vectors.T
    kept = distinct(cosines, same, most)
    assert kept == sorted(kept)
    assert all(cosines[a, b] < same for a in kept for b in kept if a != b)
    if len(kept) < most:
        assert all(cosines[row, kept].max() >= same for row in set(range(n)) - set(kept))


def test_an_image_has_its_best_match_alone() -> None:
    found = [match("p1", cosine=0.9), match("p2"), match("p1", cosine=0.7), match("p3")]
    assert [m.cosine for m in one_per_image(found, "content of p3")] == [0.9, 0.8]


def test_things_of_two_categories_are_two_things_and_none_is_none() -> None:
    same = np.ones((2, 1), dtype=np.float32)
    apart = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10]], dtype=np.float32)
    assert things(same, ["bag", "hat"], apart, 0.9) == [0, 1]
    assert things(same, ["bag", "bag"], apart, 0.9) == [0]
    assert things(same[:0], [], apart[:0], 0.9) == []
    one_place = np.array([[0, 0, 10, 10], [0, 1, 10, 10]], dtype=np.float32)
    assert things(same, ["bag", "hat"], one_place, 0.9) == [0]


def test_colour_decides_between_equal_cosines_and_not_between_far_ones() -> None:
    red, blue = (50.0, 70.0, 50.0), (30.0, 20.0, -60.0)
    found = [match("far", cosine=0.95, colour=blue), match("blue", colour=blue),
             match("red", colour=red)]  # fmt: skip
    assert [m.pin_id for m in by_likeness(found, np.array(red))] == ["far", "red", "blue"]
    assert by_likeness([], np.array(red)) == []


def test_likeness_never_takes_away_and_adds_a_tenth_at_most() -> None:
    rng = np.random.default_rng(3)
    cosines, colours = rng.uniform(-1, 1, 50), rng.uniform(0, 100, (50, 3))
    added = likeness(cosines, colours, colours[0]) - cosines
    assert (added >= 0).all()
    assert added.max() == pytest.approx(0.1) == added[0]


def test_agreement_falls_with_no_sign_and_is_a_chance() -> None:
    far, near = ([match(f"p{n}", cosine=cosine) for n in range(10)] for cosine in (0.85, 0.95))
    rising = [agreement(0.5, far), agreement(0.9, far), agreement(0.9, near)]
    assert 0 < rising[0] < rising[1] <= rising[2] < 1
    assert agreement(0.9, []) == 0
    assert agreement(None, far) == agreement(0.0, far)


def test_matches_beyond_the_tenth_do_not_count() -> None:
    near, far = [match("p", cosine=0.9)] * 10, [match("q", cosine=0.1)] * 10
    assert agreement(0.9, near) == agreement(0.9, near + far)
    assert signs(0.7, near) == pytest.approx([0.9, 0.7])


def test_the_rule_is_recovered_from_what_was_made_by_it() -> None:
    rng = np.random.default_rng(0)
    known = rng.uniform(size=(20_000, 2))
    chance = 1 / (1 + np.exp(-(known @ [4.0, 2.0] - 3.0)))
    weights, bias = fitted(known, rng.uniform(size=len(known)) < chance)
    assert [*weights, bias] == pytest.approx([4, 2, -3], abs=0.2)


def test_no_sign_counts_against_an_object() -> None:
    rng = np.random.default_rng(0)
    known = rng.uniform(size=(20_000, 2))
    chance = 1 / (1 + np.exp(-(known @ [4.0, -1.0] - 1.0)))
    good = rng.uniform(size=len(known)) < chance
    weights, bias = fitted(known, good)
    (alone,), same = fitted(known[:, :1], good)
    assert weights == (alone, 0)
    assert bias == same
    (nothing,), usual = fitted(known[:, 1:], good)
    assert nothing == 0
    assert 1 / (1 + np.exp(-usual)) == pytest.approx(good.mean())


def test_pins_are_judged_by_board_and_title() -> None:
    kinds = product_kinds(
        ["p1", "p2", "p3"],
        ["Puma Men Navy Blue Cap", "Plain Cap", "street style outfit"],
        ["caps", "caps", "outfits"],
    )
    truth = Truth({**kinds, "s1": frozenset({("hat", "blue"), ("bag", "red")})})
    asked = ["p3", "s1", "p2", "p1"]
    assert truth.right(("hat", "blue"), asked, colour=False) == [True, True, True]
    assert truth.right(("hat", "blue"), asked, colour=True) == [True, False, True]
    assert truth.right(("bag", "blue"), asked, colour=True) == [False, False, False]


@pytest.mark.parametrize(
    ("title", "colour"),
    [
        ("Off White Shirt", "white"), ("Red Tape Men Brown Shoes", "brown"), ("Redder", None),
        (None, None), ("", None),
    ],
)  # fmt: skip
def test_the_last_colour_of_a_title_is_the_thing_s(title: str | None, colour: str | None) -> None:
    assert title_colour(title) == colour


def test_missing_matches_count_as_wrong() -> None:
    assert precision([[], [True] * 30], 20).tolist() == [0, 1]


def test_the_interval_is_as_wide_as_photos_differ() -> None:
    rng = np.random.default_rng(4)
    photos = np.repeat(np.arange(200), 5)
    alone = rng.uniform(size=1000)
    shared = np.repeat(rng.uniform(size=200), 5)
    mean, low, high = mean_of(alone, [str(photo) for photo in photos])
    assert mean == pytest.approx(alone.mean())
    expected = 1.96 * alone.std() / np.sqrt(1000)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.15)
    _, low, high = mean_of(shared, [str(photo) for photo in photos])
    assert (high - low) / 2 == pytest.approx(1.96 * shared.std() / np.sqrt(200), rel=0.15)
