"""What the server asks of the detector and of the index, whose newest generation it follows."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.detection import FoundObject
from features.images import Image
from features.search.index import ObjectIndex, generation_of, open_index
from features.search.query import Searcher
from features.search.results import Match, ObjectResults, SearchResults
from features.serve.pins import pins_by_id
from features.visuals import VisualExtractor, worth_keeping
from sql.database import Database


class NoIndex(LookupError):
    """There is nothing to search in; its text is a sentence that names the next command."""


@dataclass(frozen=True)
class IndexState:
    """The index that is searched now."""

    generation: str
    objects: int
    images: int


class Finder:
    """Detects, and searches the index of the extractor's feature version. Searching by a pin is
    safe in many threads; `detect` and `in_image` run torch, and belong in the queue.
    """

    def __init__(self, extractor: VisualExtractor, database: Database, home: Path) -> None:
        self.extractor = extractor
        self.database = database
        self.home = home
        self.feature_version = extractor.feature_version
        self._lock = threading.Lock()
        self._open: tuple[str, ObjectIndex, Searcher] | None = None

    def state(self) -> IndexState | None:
        """The index that is searched now; None where there is none."""
        try:
            index = self._newest()[0]
        except NoIndex:
            return None
        return IndexState(index.generation, index.n_objects, index.n_images)

    def detect(self, image: Image) -> tuple[FoundObject, ...]:
        """The objects worth keeping, by falling score."""
        detector = self.extractor.detector
        (found,) = detector.detect([image])
        kept = worth_keeping(found, detector.settings.thresholds, self.extractor.settings)
        rows = zip(kept.labels, kept.scores.tolist(), kept.boxes.tolist(), strict=True)
        return tuple(FoundObject(label, score, tuple(box)) for label, score, box in rows)

    def in_image(
        self,
        image: Image,
        boxes: NDArray[np.float32] | None,
        categories: Sequence[str] | None,
        top: int,
    ) -> SearchResults:
        """What is like the image's objects, or like the boxes. Raises NoIndex."""
        found = self._newest()[1].search(image, boxes, categories, top)
        matches = [*found.whole, *(match for one in found.objects for match in one.matches)]
        there = self._there(matches)
        objects = tuple(_only(one, there) for one in found.objects)
        return replace(found, objects=objects, whole=_those(found.whole, there))

    def of_object(self, pin_id: str, object_no: int, top: int) -> ObjectResults:
        """What is like an indexed object. Raises NoIndex; LookupError where it is not indexed."""
        found = self._newest()[1].like_object(pin_id, object_no, top)
        assert isinstance(found, ObjectResults)
        return _only(found, self._there(found.matches))

    def of_whole(self, pin_id: str, top: int) -> tuple[Match, ...]:
        """What is like an indexed pin's whole image. Raises as of_object."""
        found = self._newest()[1].like_object(pin_id, None, top)
        assert isinstance(found, tuple)
        return _those(found, self._there(found))

    def _there(self, matches: Sequence[Match]) -> set[str]:
        """The pins that are still in the database: an index may be older than an erasure."""
        return set(pins_by_id(self.database, self.feature_version, {m.pin_id for m in matches}))

    def _newest(self) -> tuple[ObjectIndex, Searcher]:
        generation = generation_of(self.home, self.feature_version)
        with self._lock:
            if self._open is None or self._open[0] != generation:
                try:
                    index = open_index(self.home, self.feature_version)
                except ValueError as error:
                    self._open = None
                    raise NoIndex(str(error)) from error
                self._open = (index.generation, index, Searcher(self.extractor, index))
            return self._open[1:]


def _only(found: ObjectResults, there: set[str]) -> ObjectResults:
    return replace(found, matches=_those(found.matches, there))


def _those(matches: tuple[Match, ...], there: set[str]) -> tuple[Match, ...]:
    return tuple(match for match in matches if match.pin_id in there)
