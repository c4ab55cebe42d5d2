"""What a search finds: matches, for each object of the query image and for the image as a whole."""

from dataclasses import dataclass

Box = tuple[float, float, float, float]
Lab = tuple[float, float, float]


@dataclass(frozen=True)
class Match:
    """One indexed object, or whole image, that is like the query.

    object_no, category, score, box (xyxy, pixels of the original), colour (CIE Lab): of the object;
    None for a whole image. cosine: in [-1, 1].
    """

    pin_id: str
    content_hash: str
    object_no: int | None
    category: str | None
    score: float | None
    box: Box | None
    cosine: float
    colour: Lab | None = None


@dataclass(frozen=True)
class ObjectResults:
    """An object of the query image, or a crop that somebody drew, and what is like it.

    category, score: None for a drawn crop in which nothing was detected. agreement: how likely
    the matches are things of its kind, 0 to 1 (features/search/agreement.py). offered: whether that
    suffices to show the object as a starting point; a drawn crop is always offered. matches: by
    falling likeness (features/search/likeness.py), near-duplicates once, at most as many as were
    asked for.
    """

    box: Box
    category: str | None
    score: float | None
    agreement: float
    offered: bool
    matches: tuple[Match, ...]


@dataclass(frozen=True)
class SearchResults:
    """What is like an image of width x height pixels: per object, by falling dominance (none where
    nothing was found), and by the image as a whole.
    """

    width: int
    height: int
    objects: tuple[ObjectResults, ...]
    whole: tuple[Match, ...]
