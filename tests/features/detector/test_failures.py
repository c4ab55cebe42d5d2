from pathlib import Path

import numpy as np
from PIL import Image as pil

from features.detector.failures import draw_failures
from features.detector.matches import Boxes, Matches

BOX = [20.0, 20.0, 80.0, 80.0]


def boxes(rows: list[tuple[int, int, float, bool]]) -> Boxes:
    """From (photo, category, score, matched), all in the same place."""
    photo, category, score, matched = (np.array(column) for column in zip(*rows, strict=True))
    return Boxes(photo, category, np.array([BOX] * len(rows)), score, matched.astype(bool))


def test_the_worst_photos_are_drawn_worst_first(tmp_path: Path) -> None:
    names = ("fine.png", "one.png", "two.png")
    for name in names:
        pil.new("RGB", (100, 100), (90, 90, 90)).save(tmp_path / name)
    # fine: found. one: found below the threshold of its category. two: missed, and one wrong.
    found = [(0, 0, 0.9, True), (1, 1, 0.5, True), (2, 1, 0.7, False), (2, 0, 0.1, False)]
    true = [(0, 0, 0.9, True), (1, 1, 0.5, True), (2, 0, 0.0, False)]
    matches = Matches(names, ("bag", "hat"), boxes(found), boxes(true))
    files = {name: tmp_path / name for name in names}
    drawn = draw_failures(matches, files, tmp_path / "out", 5, {"hat": 0.6}, 0.4)
    assert [(f.photo, f.missed, f.wrong) for f in drawn] == [(2, 1, 1), (1, 1, 0)]
    assert [f.picture.name for f in drawn] == ["01_two.jpg", "02_one.jpg"]
    for failure in drawn:
        pixels = np.asarray(pil.open(failure.picture))
        assert pixels.shape == (100, 100, 3)
        assert (pixels[15:85, 15:85] > 200).all(axis=2).any()  # the dashed white outline
    worst = draw_failures(matches, files, tmp_path / "out", 1, {"hat": 0.6}, 0.4)
    assert [f.photo for f in worst] == [2]
