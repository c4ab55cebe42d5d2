"""Searching with images and with indexed objects, on pins whose halves are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.search.likeness import by_likeness
from features.search.query import Searcher, inside
from sql.database import Database
from tests.features.search.searched import SIDE, as_image, pattern, picture, searcher

PINS = {
    f"p{n:02}": picture(pattern(n, light=n % 2 == 0), pattern(100 + n, light=n % 3 == 0))
    for n in range(30)
}
TOP = (0.0, 0.0, 2.0 * SIDE, 1.0 * SIDE)
BOTTOM = (0.0, 1.0 * SIDE, 2.0 * SIDE, 2.0 * SIDE)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    from sql.database import open_database

    home = tmp_path_factory.mktemp("home")
    database = open_database(home / "related_pins.db")
    database.upgrade()
    return searcher(database, home, PINS)


def test_each_half_is_found_where_it_came_from(found: Searcher, tmp_path: Path) -> None:
    query = picture(pattern(7), pattern(104))  # the upper half of p07 and the lower half of p04
    results = found.search(as_image(query, tmp_path))
    first = {one.box: one.matches[0] for one in results.objects}
    assert (first[TOP].pin_id, first[TOP].box) == ("p07", TOP)
    assert (first[BOTTOM].pin_id, first[BOTTOM].box) == ("p04", BOTTOM)
    assert (results.width, results.height) == (2 * SIDE, 2 * SIDE)


def test_an_indexed_pin_as_image_and_by_its_id_finds_the_same(
    found: Searcher, tmp_path: Path
) -> None:
    results = found.search(as_image(PINS["p05"], tmp_path), top=9)
    known = {one.box: one for number in (0, 1) for one in [found.like_object("p05", number, 9)]}
    for one in results.objects:
        matches = known[one.box].matches
        assert [(m.pin_id, m.object_no) for m in one.matches] == [
            (m.pin_id, m.object_no) for m in matches
        ]
        assert one.agreement == pytest.approx(known[one.box].agreement, abs=1e-3)
    assert [m.pin_id for m in results.whole] == [m.pin_id for m in found.like_image("p05", 9)]


def test_the_image_itself_is_never_a_match_and_a_pin_is_one_at_most(
    found: Searcher, tmp_path: Path
) -> None:
    results = found.search(as_image(PINS["p05"], tmp_path), top=100)
    for matches in [*(one.matches for one in results.objects), results.whole]:
        pins = [match.pin_id for match in matches]
        assert "p05" not in pins
        assert len(set(pins)) == len(pins) == len(PINS) - 1


def test_matches_come_by_falling_likeness_and_as_many_as_asked_for(
    found: Searcher, tmp_path: Path
) -> None:
    image = as_image(picture(pattern(900), pattern(901)), tmp_path)
    visual = found.extractor.extract([image])[0]
    for one in found.search(image, top=4).objects:
        assert len(one.matches) == 4
        row = visual.boxes.tolist().index(list(one.box))
        assert list(one.matches) == by_likeness(one.matches, visual.colours[row])


def test_copies_of_a_picture_are_one_match(
    database: Database, tmp_path: Path, found: Searcher
) -> None:
    plain = np.asarray(PINS["p03"]).astype(np.int16)
    copies = {
        f"copy{n}": picture(*np.split(np.clip(plain + n, 0, 255).astype(np.uint8), 2))
        for n in (1, 2, 3)
    }
    home = tmp_path / "home"
    home.mkdir()
    doubled = searcher(database, home, {**PINS, **copies})
    assert doubled.index.n_images == len(PINS) + 3
    image = as_image(picture(pattern(3), pattern(950)), tmp_path)
    for one in doubled.search(image, top=100).objects:
        pins = {match.pin_id for match in one.matches}
        assert len(pins & {"p03", *copies}) == 1
        assert pins >= PINS.keys() - {"p03"}


def test_a_category_keeps_its_objects_and_its_matches(found: Searcher, tmp_path: Path) -> None:
    image = as_image(picture(pattern(1, light=True), pattern(2)), tmp_path)
    results = found.search(image, categories=["bag"])
    assert [one.category for one in results.objects] == ["bag"]
    assert {match.category for match in results.objects[0].matches} == {"bag"}
    assert len(found.search(image).objects) == 2


def test_a_drawn_crop_is_searched_as_the_object_that_it_surrounds(
    found: Searcher, tmp_path: Path
) -> None:
    image = as_image(picture(pattern(11), pattern(12)), tmp_path)
    detected = {one.box: one for one in found.search(image).objects}
    small = (3.0, 3.0, 21.0, 15.0)
    drawn = found.search(image, np.array([BOTTOM, small, TOP])).objects
    assert [one.box for one in drawn] == [BOTTOM, small, TOP]
    assert all(one.offered for one in drawn)
    assert (drawn[1].category, drawn[1].score) == (None, None)
    for one in (drawn[0], drawn[2]):
        assert one == replace(detected[one.box], offered=True)


def test_a_pair_is_searched_once(found: Searcher, tmp_path: Path) -> None:
    stripes = np.tile(pattern(8)[:20], (3, 1, 1))
    twice = found.search(as_image(picture(stripes, stripes), tmp_path))
    assert len(twice.objects) == 1
    other = found.search(as_image(picture(stripes, pattern(8, light=True)), tmp_path))
    assert len(other.objects) == 2  # of two categories


@pytest.mark.parametrize(
    ("box", "text"),
    [
        ([500, 10, 700, 90], "holds no pixel"),
        ([10, 10, 10.5, 90], "holds no pixel"),
        ([10, 10, np.nan, 90], "four numbers"),
    ],
)
def test_a_box_without_pixels_is_refused(box: list[float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        inside(np.array([box]), 120, 120)


def test_corners_of_a_box_may_come_in_any_order() -> None:
    assert inside(np.array([[90, 80, -5, 10]]), 100, 100).tolist() == [[0, 10, 90, 80]]


def test_what_is_not_indexed_is_said(found: Searcher) -> None:
    with pytest.raises(ValueError, match="no pin p99 in the index"):
        found.like_object("p99", 0)
    with pytest.raises(ValueError, match="no object 7"):
        found.like_object("p01", 7)


def test_an_index_of_other_features_is_refused(found: Searcher) -> None:
    other = type("Other", (), {"feature_version": "other"})()
    with pytest.raises(ValueError, match="feature version"):
        Searcher(other, found.index)
