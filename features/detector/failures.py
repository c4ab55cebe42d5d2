"""Failures: pictures of the photos in which most boxes are missed or wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as pil
from PIL import ImageDraw

from features.detector.matches import Matches
from features.images.images import load_image
from features.picture import draw_objects

DASH = 8


@dataclass(frozen=True)
class Failure:
    """A photo (its row in `Matches.photos`), how many true boxes are missed, how many found are
    wrong, and its picture."""

    photo: int
    missed: int
    wrong: int
    picture: Path


def draw_failures(
    matches: Matches,
    files: Mapping[str, Path],
    folder: Path,
    worst: int,
    thresholds: Mapping[str, float],
    min_score: float,
) -> list[Failure]:
    """Writes pictures of the `worst` photos, worst first, into `folder`; photos without a failure
    are left out.

    Found boxes have a full line, category and score; true boxes a dashed white one, and the word
    missed where no detection worth keeping overlaps them by an IoU of 0.5. files: file name ->
    photo. thresholds: score by category from which a detection counts, min_score for the others.
    """
    floors = np.array([thresholds.get(name, min_score) for name in matches.categories])
    kept = matches.found.score >= floors[matches.found.category]
    missed = matches.true.score < np.maximum(floors[matches.true.category], 1e-9)
    wrong = kept & ~matches.found.matched
    n_missed, n_wrong = (
        np.bincount(boxes.photo[rows], minlength=len(matches.photos))
        for boxes, rows in ((matches.true, missed), (matches.found, wrong))
    )
    failures: list[Failure] = []
    folder.mkdir(parents=True, exist_ok=True)
    for photo in np.argsort(-(n_missed + n_wrong), kind="stable")[:worst]:
        if n_missed[photo] + n_wrong[photo] == 0:
            break
        name = Path(matches.photos[photo]).stem
        path = folder / f"{len(failures) + 1:02}_{name}.jpg"
        image = pil.fromarray(load_image(files[matches.photos[photo]]).pixels)
        _picture(image, matches, int(photo), kept, missed).save(path, quality=90)
        failures.append(Failure(int(photo), int(n_missed[photo]), int(n_wrong[photo]), path))
    return failures


def _picture(
    image: pil.Image,
    matches: Matches,
    photo: int,
    kept: NDArray[np.bool_],
    missed: NDArray[np.bool_],
) -> pil.Image:
    found, true = matches.found, matches.true
    here = np.flatnonzero(true.photo == photo)
    pen = ImageDraw.Draw(image)
    for box in true.box[here]:
        _dashed(pen, box)
    rows = np.flatnonzero(kept & (found.photo == photo))
    names = [matches.categories[category] for category in found.category[rows]]
    drawn = draw_objects(image, found.box[rows], names, found.score[rows].tolist())
    pen = ImageDraw.Draw(drawn)
    for row in here[missed[here]]:
        place = (true.box[row, 0] + 4, true.box[row, 3] - 16)
        text = f"missed {matches.categories[true.category[row]]}"
        pen.text(place, text, fill="white", stroke_width=2, stroke_fill="black", font_size=14)
    return drawn


def _dashed(pen: ImageDraw.ImageDraw, box: NDArray[np.float64]) -> None:
    """A dashed white outline with a dark line under it, seen on any ground."""
    x1, y1, x2, y2 = (float(edge) for edge in box)
    pen.rectangle((x1, y1, x2, y2), outline="black", width=1)
    for x in np.arange(x1, x2, 2 * DASH):
        for y in (y1, y2):
            pen.line((x, y, min(x + DASH, x2), y), fill="white", width=2)
    for y in np.arange(y1, y2, 2 * DASH):
        for x in (x1, x2):
            pen.line((x, y, x, min(y + DASH, y2)), fill="white", width=2)
