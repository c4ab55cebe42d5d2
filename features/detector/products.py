"""Product photos: whether the dominant or the surest thing found in each is what its board says,
and whether things are found that are not in view."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.boxes import area
from features.detector.catalogue import BOARDS, product_photos
from features.detector.detector import Detections
from features.detector.evaluation import Detect, OnPhoto
from features.detector.matches import wilson
from features.images.images import UnreadableImage, load_image
from features.visuals.visuals import dominance

HEAD_TO_THIGH = ("tshirts", "shirts", "tops", "sweaters", "sweatshirts", "jackets")
OUT_OF_VIEW = ("shoes", "hat", "shorts")


@dataclass(frozen=True)
class Share:
    """Of `photos` photos `right` have it; share and its 95 % Wilson interval, 0 to 1."""

    right: int
    photos: int
    share: float
    low: float
    high: float


def share_of(answers: Iterable[bool]) -> Share:
    """The share of the answers that are true; NaN, from 0 to 1, without answers."""
    answers = list(answers)
    right, photos = sum(answers), len(answers)
    return Share(right, photos, right / photos if photos else float("nan"), *wilson(right, photos))


@dataclass(frozen=True)
class Named:
    """A board's photo, the categories of the surest detection and of the dominant object in it
    (None where nothing was found), and those of all that was found."""

    board: str
    surest: str | None
    dominant: str | None
    found: frozenset[str] = frozenset()


def named_photos(
    keep: Detect, fashion: Path, per_board: int, on_photo: OnPhoto | None = None
) -> list[Named]:
    """What was found in up to `per_board` held-out product pins per board (see
    features/detector/catalogue.py); unreadable photos are left out.

    keep: detections that are worth keeping, by falling score. on_photo: called with (done, photos)
    before each. Raises ValueError where there is no such pin.
    """
    named: list[Named] = []
    photos = product_photos(fashion, per_board, held_out=True)
    for done, (board, name) in enumerate(photos):
        if on_photo is not None:
            on_photo(done, len(photos))
        try:
            found = keep([load_image(fashion / name)])[0]
        except UnreadableImage:
            continue
        surest = found.labels[0] if found.labels else None
        named.append(Named(board, surest, _dominant(found), frozenset(found.labels)))
    if not named:
        raise ValueError(f"No pin of {fashion} is on one of the boards {', '.join(BOARDS)}.")
    return named


def _dominant(found: Detections) -> str | None:
    if not found.labels:
        return None
    shares = np.asarray(area(found.boxes), dtype=np.float64) / (found.width * found.height)
    return found.labels[int(dominance(found.scores, shares).argmax())]


def right_by_board(named: Iterable[tuple[str, str | None]]) -> dict[str, Share]:
    """Board -> share of its photos, given as (board, category), that have the board's category;
    'all' last.

    >>> right_by_board([("caps", "hat"), ("caps", None), ("ties", "tie")])["all"].right
    2
    """
    named = list(named)
    boards = dict.fromkeys(board for board, _ in named)
    shares = {
        board: share_of(found == BOARDS[board] for where, found in named if where == board)
        for board in boards
    }
    return {**shares, "all": share_of(found == BOARDS[board] for board, found in named)}


def strays(named: Iterable[Named]) -> dict[str, Share]:
    """Category of OUT_OF_VIEW -> share of the photos of HEAD_TO_THIGH in which it is found; 'any'
    last. These photos show a garment alone, or bareheaded people down to their hips, their arms
    hanging: there is no shoe, hat or pair of shorts to find, but hands, hair and cut-off trousers.

    >>> strays([Named("shirts", "top", "top", frozenset({"top", "hat"}))])["any"].right
    1
    """
    photos = [photo.found for photo in named if photo.board in HEAD_TO_THIGH]
    shares = {name: share_of(name in found for found in photos) for name in OUT_OF_VIEW}
    return {**shares, "any": share_of(not found.isdisjoint(OUT_OF_VIEW) for found in photos)}
