import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from experiments.world.appearance import (
    CATEGORIES,
    PATTERNS,
    SHAPES,
    Appearance,
    random_appearance,
    random_looks,
)
from experiments.world.silhouettes import silhouette
from experiments.world.sketch import Part as SketchPart
from experiments.world.sketch import curve, flip, oval, pattern_weight, poly, render, sketch

OUTLINES = hnp.arrays(
    np.float64, st.tuples(st.integers(3, 9), st.just(2)), elements=st.floats(0, 1)
)


@given(OUTLINES)
def test_a_curve_passes_through_its_points_and_flipping_twice_changes_nothing(points):
    np.testing.assert_allclose(curve(points, steps=5)[::5], points, atol=1e-12)
    np.testing.assert_allclose(flip(flip(points)), points, atol=1e-12)


def test_a_rendered_disc_has_the_area_of_a_disc():
    look = Appearance("clock", "red", (190, 40, 44), "plain", 0)
    disc = sketch(1.0, SketchPart(oval(0.5, 0.5, 0.5, 0.5), "body"))
    _, alpha = render(disc, look, 100.0, np.random.default_rng(0))
    assert alpha.sum() == pytest.approx(np.pi * 50**2, rel=0.02)


def test_a_turned_square_keeps_its_area_and_grows_its_extent():
    look = Appearance("clock", "red", (190, 40, 44), "plain", 0)
    square = sketch(1.0, SketchPart(poly((0, 0), (1, 0), (1, 1), (0, 1)), "body"))
    straight = render(square, look, 80.0, np.random.default_rng(0))[1]
    turned = render(square, look, 80.0, np.random.default_rng(0), angle=45)[1]
    assert turned.sum() == pytest.approx(straight.sum(), rel=0.03)
    wide = np.ptp(np.flatnonzero((turned > 0.5).any(0))) + 1
    assert wide == pytest.approx(80 * np.sqrt(2), abs=2)


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_shape_of_a_category_fills_its_box_with_its_colour(category):
    rng = np.random.default_rng(3)
    for shape in range(SHAPES):
        outline = silhouette(category, shape)
        points = np.concatenate([part.points for part in outline.parts])
        assert points.min() > -0.3
        assert points.max() < 1.3
        paint, alpha = render(
            outline, Appearance(category, "red", (190, 40, 44), "plain", shape), 90, rng
        )
        inside = paint[alpha > 0.9]
        reddish = (inside[:, 0] > 1.5 * inside[:, 1]) & (inside[:, 0] > 1.5 * inside[:, 2])
        assert reddish.mean() > 0.03
        assert (alpha > 0.5).sum() > 150


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_mix_between_none_and_all_of_the_accent(pattern):
    v, u = np.mgrid[:120, :120].astype(np.float32)
    weight = pattern_weight(Appearance("top", "blue", (78, 128, 196), pattern, 1), u, v, 20.0)
    assert weight.min() >= 0
    assert weight.max() <= 1
    assert (weight.std() > 0.1) == (pattern != "plain")


def test_looks_are_of_the_asked_colour_and_kind():
    rng = np.random.default_rng(0)
    assert random_appearance("bag", rng, colour="teal").colour == "teal"
    assert len(random_looks("product", rng)) == 1
    for kind in ("outfit", "room"):
        looks = [look.category for look in random_looks(kind, rng)]
        assert 3 <= len(looks) <= 6
        assert len(set(looks)) == len(looks)
    with pytest.raises(ValueError, match="no category"):
        random_appearance("spoon", rng)
    with pytest.raises(ValueError, match="no colour"):
        random_appearance("bag", rng, colour="mauve")
    with pytest.raises(ValueError, match="no kind"):
        random_looks("beach", rng)
