"""Product photos: whether the surest thing found in each is what its board says."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from features.detector.catalogue import BOARDS, product_photos
from features.detector.evaluation import Detect, OnPhoto
from features.detector.matches import wilson
from features.images.images import UnreadableImage, load_image


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


def surest_categories(
    detect: Detect, fashion: Path, per_board: int, on_photo: OnPhoto | None = None
) -> list[tuple[str, str | None]]:
    """(board, category of the surest detection or None) of up to `per_board` held-out product pins
    per board (see features/detector/catalogue.py); unreadable photos are left out.

    on_photo: called with (done, photos) before each. Raises ValueError where there is no such pin.
    """
    surest: list[tuple[str, str | None]] = []
    photos = product_photos(fashion, per_board, held_out=True)
    for done, (board, name) in enumerate(photos):
        if on_photo is not None:
            on_photo(done, len(photos))
        try:
            labels = detect([load_image(fashion / name)])[0].labels
        except UnreadableImage:
            continue
        surest.append((board, labels[0] if labels else None))
    if not surest:
        raise ValueError(f"No pin of {fashion} is on one of the boards {', '.join(BOARDS)}.")
    return surest


def right_by_board(surest: list[tuple[str, str | None]]) -> dict[str, Share]:
    """Board -> share of its photos whose surest detection has the board's category; 'all' last.

    >>> right_by_board([("caps", "hat"), ("caps", None), ("ties", "tie")])["all"].right
    2
    """
    boards = dict.fromkeys(board for board, _ in surest)
    shares = {
        board: share_of(found == BOARDS[board] for where, found in surest if where == board)
        for board in boards
    }
    return {**shares, "all": share_of(found == BOARDS[board] for board, found in surest)}
