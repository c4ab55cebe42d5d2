"""A search: what is found in an image, or known of an indexed pin, and what is like it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from features.boxes import iou
from features.detector.detector import Detections
from features.images.images import Image
from features.search.agreement import OFFERED, agreement
from features.search.index import VECTORS, ObjectIndex
from features.search.likeness import by_likeness
from features.search.merging import COPY, distinct, one_per_image, things
from features.search.results import Match, ObjectResults, SearchResults
from features.visuals.visuals import PinVisual, VisualExtractor, dominance

FETCHED, LEAST = 10, 200  # entries asked of the index: per match that is wanted, and at least
SAME_PLACE = 0.5  # IoU from which a drawn crop has the category of a found object
Vectors = NDArray[np.float32]


class Searcher:
    """Finds objects in an image and, in an index, pins with objects like them.

    Raises ValueError where index and extractor have not the same feature version.
    """

    def __init__(self, extractor: VisualExtractor, index: ObjectIndex) -> None:
        if extractor.feature_version != index.feature_version:
            raise ValueError(
                f"The index holds feature version {index.feature_version}, not "
                f"{extractor.feature_version}: name the detector and projection that it was made "
                "with, or run `related-pins features` and `related-pins index build` with these."
            )
        self.extractor = extractor
        self.index = index

    def search(
        self,
        image: Image,
        boxes: NDArray[np.float32] | None = None,
        categories: Sequence[str] | None = None,
        top: int = 20,
    ) -> SearchResults:
        """What is like each object of an image, and like the image as a whole; see `results`.

        boxes: `(N, 4)` xyxy in pixels of the image, crops to search for in place of what is found.
        Raises ValueError for a box that holds no pixel of the image.
        """
        if boxes is None:
            return self.results(self.extractor.extract([image])[0], categories, top)
        crops = inside(boxes, image.width, image.height)
        visual = self.extractor.extract(
            [image], lambda found: as_drawn(self.extractor.worth_keeping(found), crops)
        )[0]
        return self.results(visual, categories, top, drawn=True)

    def results(
        self,
        visual: PinVisual,
        categories: Sequence[str] | None = None,
        top: int = 20,
        *,
        drawn: bool = False,
    ) -> SearchResults:
        """What is like an image that has been described; its own content is left out.

        Each thing is searched once (of a pair of shoes one), by falling dominance. categories: what
        matches of objects may be; of found objects only these are searched. top: matches per list.
        drawn: whether the objects are crops that somebody drew: all are searched, in their order,
        and offered.
        """
        rows = list(range(len(visual.scores))) if drawn else starting_points(visual, categories)
        vectors = getattr(visual, VECTORS)[rows]
        found = self.index.search_objects(vectors, _fetched(top), categories) if rows else []
        objects = [
            self._results(_as_query(visual, row), matches, top)
            for row, matches in zip(rows, found, strict=True)
        ]
        if drawn:
            objects = [replace(results, offered=True) for results in objects]
        whole = self._like_whole(visual.whole, visual.content_hash, top)
        return SearchResults(visual.width, visual.height, tuple(objects), whole)

    def like_object(self, pin_id: str, object_no: int, top: int = 20) -> ObjectResults:
        """What is like an object of an indexed pin, whose image is not looked at again.

        Raises ValueError for a pin or an object that is not indexed.
        """
        known, vector = self.index.look_up(pin_id, object_no)
        found = self.index.search_objects(vector[None], _fetched(top))[0]
        return self._results(known, found, top)

    def like_image(self, pin_id: str, top: int = 20) -> tuple[Match, ...]:
        """What is like the whole image of an indexed pin; ValueError for one that is not."""
        known, vector = self.index.look_up(pin_id)
        return self._like_whole(vector, known.content_hash, top)

    def _like_whole(self, vector: Vectors, content: str, top: int) -> tuple[Match, ...]:
        return self._merged(self.index.search_images(vector[None], 3 * top)[0], content, top)

    def _results(self, query: Match, found: Sequence[Match], top: int) -> ObjectResults:
        """Results of an object, given the entries with the highest cosine."""
        assert query.box is not None
        alike = by_likeness(found, np.array(query.colour, dtype=np.float32))
        matches = self._merged(alike, query.content_hash, top)
        trust = agreement(query.score, matches)
        return ObjectResults(
            query.box, query.category, query.score, trust, trust >= OFFERED, matches
        )

    def _merged(self, found: Sequence[Match], leave_out: str, top: int) -> tuple[Match, ...]:
        """The first `top` matches of different pictures; few are copies, so most are not read."""
        matches, rows = one_per_image(found, leave_out)[: 3 * top], list[int]()
        for some in (matches[: top + 5], matches):
            whole = self.index.whole([match.pin_id for match in some])
            rows = distinct(whole @ whole.T, COPY, top)
            if len(rows) == top or len(some) == len(matches):
                break
        return tuple(matches[row] for row in rows)


def starting_points(visual: PinVisual, categories: Sequence[str] | None = None) -> list[int]:
    """Numbers of the objects to search for: each thing once, by falling dominance."""
    order = np.argsort(-dominance(visual.scores, visual.area_shares), kind="stable").tolist()
    rows = [row for row in order if categories is None or visual.categories[row] in categories]
    names = [visual.categories[row] for row in rows]
    vectors = getattr(visual, VECTORS)[rows]
    return [rows[place] for place in things(vectors, names, visual.boxes[rows])]


def inside(boxes: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Boxes `(N, 4)` cut to an image; corners may come in any order.

    Raises ValueError for boxes of another shape, or one that holds no pixel of the image.

    >>> inside(np.array([[90, 10, 20, 300]]), 100, 200).tolist()
    [[20.0, 10.0, 90.0, 200.0]]
    """
    boxes = np.asarray(boxes, dtype=np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError("Give each box as four numbers: x1, y1, x2, y2 in pixels of the image.")
    corners = np.sort(boxes.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    cut = np.clip(corners, 0, np.array([width, height] * 2, dtype=np.float32))
    for given, sides in zip(boxes.tolist(), (cut[:, 2:] - cut[:, :2]).tolist(), strict=True):
        if min(sides) < 1:
            text = ",".join(f"{edge:g}" for edge in given)
            raise ValueError(f"The box {text} holds no pixel of an image of {width} x {height}.")
    return cut


def as_drawn(found: Detections, boxes: NDArray[np.float32]) -> Detections:
    """Drawn crops `(N, 4)` in place of what was found: each with the category and the score of the
    found object that it overlaps most, by an IoU of at least SAME_PLACE; else '' and 0."""
    labels, scores = [""] * len(boxes), np.zeros(len(boxes), dtype=np.float32)
    for row, box in enumerate(boxes):
        overlaps = iou(box, found.boxes)
        if len(overlaps) and overlaps.max() >= SAME_PLACE:
            place = int(overlaps.argmax())
            labels[row], scores[row] = found.labels[place], found.scores[place]
    return Detections(boxes, scores, tuple(labels), found.width, found.height)


def _fetched(top: int) -> int:
    return max(LEAST, FETCHED * top)


def _as_query(visual: PinVisual, row: int) -> Match:
    """An object as the index would know it."""
    category = visual.categories[row] or None
    score = float(visual.scores[row]) if category else None
    box, colour = tuple(visual.boxes[row].tolist()), tuple(visual.colours[row].tolist())
    return Match("", visual.content_hash, row, category, score, box, 1.0, colour)
