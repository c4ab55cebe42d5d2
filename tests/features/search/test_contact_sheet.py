"""The picture of a search: everything has its place, and what cannot be read leaves it empty."""

from pathlib import Path

import numpy as np
from PIL import Image as pil

from features.picture import colour_of
from features.search.contact_sheet import FOOT, GAP, HEAD, SHOWN, TILE, contact_sheet
from features.search.results import Match, ObjectResults, SearchResults

BOX = (100.0, 50.0, 200.0, 150.0)


def match(pin: str, box: tuple[float, ...] | None = BOX) -> Match:
    return Match(pin, pin, 0, "bag", 0.9, box, 0.87, (50, 0, 0))


def results(n_objects: int, n_matches: int) -> SearchResults:
    found = tuple(match(f"p{n}") for n in range(n_matches))
    objects = [
        ObjectResults(BOX, "bag", 0.9, 0.8, number % 2 == 0, found) for number in range(n_objects)
    ]
    return SearchResults(300, 200, tuple(objects), (match("p0", None),))


def files(folder: Path) -> dict[str, Path]:
    pil.new("RGB", (300, 200), (200, 220, 240)).save(folder / "blue.png")
    (folder / "broken.png").write_bytes(b"not an image")
    return {"p0": folder / "blue.png", "p1": folder / "broken.png"}


def test_a_row_per_object_and_one_for_the_whole(tmp_path: Path) -> None:
    query = pil.new("RGB", (300, 200), "white")
    heights = [
        contact_sheet(query, results(n, SHOWN + 5), files(tmp_path)).height for n in range(2, 5)
    ]
    assert np.diff(heights).tolist() == [HEAD + TILE + FOOT + GAP] * 2
    widths = {contact_sheet(query, results(2, n), files(tmp_path)).width for n in (0, 1, 30)}
    assert len(widths) == 1


def test_the_matched_object_is_outlined_and_an_unreadable_picture_is_grey(tmp_path: Path) -> None:
    query = pil.new("RGB", (300, 200), "white")
    sheet = contact_sheet(query, results(1, 3), files(tmp_path))
    left = 420 + 3 * GAP + TILE + GAP
    tiles = [
        np.asarray(sheet.crop((x, GAP + HEAD, x + TILE, GAP + HEAD + TILE)))
        for x in (left + place * (TILE + GAP) for place in range(3))
    ]
    outlined = (tiles[0] == colour_of("bag")).all(axis=2)
    rows, columns = np.nonzero(outlined)
    assert (rows.min(), columns.min()) == (25, 25)  # a sixth of the tile around the object
    assert (rows.max(), columns.max()) == (TILE - 26, TILE - 26)
    assert (tiles[0][5, 5] == (200, 220, 240)).all()
    for tile in tiles[1:]:
        assert (tile == (229, 231, 235)).all()


def test_objects_of_any_place_and_size_can_be_drawn(tmp_path: Path) -> None:
    query = pil.new("RGB", (40, 3000), "white")
    for box in ((0.0, 0.0, 1.0, 1.0), (39.0, 2999.0, 40.0, 3000.0), (0.0, 0.0, 40.0, 3000.0)):
        one = ObjectResults(box, None, None, 0.1, True, (match("p0", (0, 0, 300, 200)),))
        contact_sheet(query, SearchResults(40, 3000, (one,), ()), files(tmp_path))
