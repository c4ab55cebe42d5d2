"""What the server asks of the detector and of the index, whose newest generation it follows."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.detector.detection import FoundObject
from features.images.images import Image
from features.search.generation import CURRENT, index_folder
from features.search.index import ObjectIndex, open_index
from features.search.merging import things
from features.search.query import Searcher
from features.search.results import Match, ObjectResults, SearchResults
from features.serve.pins import pins_by_id
from features.visuals.visuals import VisualExtractor, worth_keeping
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
        self._open: tuple[tuple[int, int], ObjectIndex, Searcher] | None = None

    def state(self) -> IndexState | None:
        """The index that is searched now; None where there is none."""
        try:
            index = self._newest()[0]
        except NoIndex:
            return None
        return IndexState(index.generation, index.n_objects, index.n_images)

    def check(self) -> None:
        """Raises NoIndex where nothing can be searched."""
        self._newest()

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

    def of_pin(self, pin_id: str, numbers: Sequence[int], top: int) -> dict[int, ObjectResults]:
        """What is like objects of an indexed pin, by number, in the order given: of things that
        are there twice, the first. Empty for a pin that is not indexed. Raises NoIndex.
        """
        index, searcher = self._newest()
        try:
            known = {number: index.look_up(pin_id, number) for number in numbers}
        except ValueError:
            return {}
        if not known:
            return {}
        vectors = np.stack([vector for _, vector in known.values()])
        names = [match.category or "" for match, _ in known.values()]
        boxes = np.array([match.box for match, _ in known.values()], dtype=np.float32)
        found = {
            number: searcher.like_object(pin_id, number, top)
            for number in (list(known)[row] for row in things(vectors, names, boxes))
        }
        there = self._there([match for one in found.values() for match in one.matches])
        return {number: _only(one, there) for number, one in found.items()}

    def of_whole(self, pin_id: str, top: int) -> tuple[Match, ...]:
        """What is like a pin's whole image; empty for one that is not indexed. Raises NoIndex."""
        searcher = self._newest()[1]
        try:
            found = searcher.like_image(pin_id, top)
        except ValueError:
            return ()
        return _those(found, self._there(found))

    def _there(self, matches: Sequence[Match]) -> set[str]:
        """The pins that are still in the database: an index may be older than an erasure."""
        return set(pins_by_id(self.database, self.feature_version, {m.pin_id for m in matches}))

    def _newest(self) -> tuple[ObjectIndex, Searcher]:
        state = self._file_state()
        with self._lock:
            if self._open is None or self._open[0] != state:
                self._open = None
                try:
                    index = open_index(self.home, self.feature_version)
                except ValueError as error:
                    raise NoIndex(str(error)) from error
                self._open = (state, index, Searcher(self.extractor, index))
            return self._open[1:]

    def _file_state(self) -> tuple[int, int]:
        """Changes when another generation becomes the current one; costs one look at a file."""
        try:
            status = (index_folder(self.home, self.feature_version) / CURRENT).stat()
        except OSError:
            return 0, 0
        return status.st_ino, status.st_mtime_ns


def _only(found: ObjectResults, there: set[str]) -> ObjectResults:
    return replace(found, matches=_those(found.matches, there))


def _those(matches: tuple[Match, ...], there: set[str]) -> tuple[Match, ...]:
    return tuple(match for match in matches if match.pin_id in there)
