"""Images -> PinVisuals: what the system knows of a pin from its pixels."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image as pil

from features.boxes import area, pad
from features.detector.detector import Detections, Detector
from features.embedding.embedding import Embedder, cut, unit
from features.embedding.projection import Projection
from features.images.images import Image
from features.visuals.colour import SIDE, salient_colour

SCHEMA = "2"
Keep = Callable[[Detections], Detections]


@dataclass(frozen=True)
class VisualSettings:
    """What a PinVisual's numbers depend on, beside the detector's and the embedder's weights.

    min_score: objects below it are dropped, where the detector has no threshold for their
    category. max_objects: kept per image, best scores first. padding: context around a padded
    crop, share of the box per side. pooling: 'roi_align' pools the detector's own features of each
    box, in the same pass; 'crop' embeds the pixels of each box.
    """

    min_score: float = 0.4
    max_objects: int = 8
    padding: float = 0.25
    pooling: str = "roi_align"

    def __post_init__(self) -> None:
        if self.pooling not in ("crop", "roi_align"):
            raise ValueError(f"pooling is 'crop' or 'roi_align', not '{self.pooling}'.")


@dataclass(frozen=True, eq=False)
class PinVisual:
    """One image as the ranker sees it; N objects by falling score, N may be 0.

    whole: `(D,)` float32 unit vector of the embedder. whole_crop: `(E,)` unit vector of the whole
    image taken for an object. boxes: `(N, 4)` float32 xyxy, pixels of the original. scores: `(N,)`
    in [0, 1]. categories: N names. crops, padded: `(N, E)` unit vectors of the tight and of the
    padded boxes. colours: `(N, 3)` Lab.
    """

    content_hash: str
    width: int
    height: int
    whole: NDArray[np.float32]
    whole_crop: NDArray[np.float32]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    categories: tuple[str, ...]
    crops: NDArray[np.float32]
    padded: NDArray[np.float32]
    colours: NDArray[np.float32]

    def projected(self, projection: Projection) -> "PinVisual":
        """The same image with the vectors of its objects projected, from what a shard keeps of
        them: float16, so that it is the same where they were read from one."""

        def project(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
            return projection(vectors.astype(np.float16).astype(np.float32))

        return replace(
            self,
            whole_crop=project(self.whole_crop[None])[0],
            crops=project(self.crops),
            padded=project(self.padded),
        )

    @property
    def crops_in_context(self) -> NDArray[np.float32]:
        """Unit vectors `(N, E)` halfway between those of the tight and of the padded boxes."""
        return unit(self.crops + self.padded)

    @property
    def area_shares(self) -> NDArray[np.float64]:
        """Areas `(N,)` of the boxes as shares of the image, 0 to 1."""
        return np.asarray(area(self.boxes), dtype=np.float64) / (self.width * self.height)

    @property
    def dominant(self) -> int | None:
        """Number of the dominant object, or None without objects: see `dominance`."""
        if not len(self.scores):
            return None
        return int(dominance(self.scores, self.area_shares).argmax())


def dominance(scores: NDArray[np.float32], area_shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much an object rules its image: score times the square root of its share of the area.

    >>> dominance(np.array([0.9, 0.9]), np.array([0.04, 0.25])).round(2).tolist()
    [0.18, 0.45]
    """
    return np.asarray(scores * np.sqrt(area_shares))


def worth_keeping(
    found: Detections, thresholds: Mapping[str, float], settings: VisualSettings
) -> Detections:
    """The detections that reach the threshold of their category, or else the least score, as many
    as the settings allow, by falling score."""
    scores = [thresholds.get(label, settings.min_score) for label in found.labels]
    rows = np.flatnonzero(found.scores >= scores)[: settings.max_objects]
    return replace(
        found,
        boxes=found.boxes[rows],
        scores=found.scores[rows],
        labels=tuple(found.labels[row] for row in rows),
    )


class VisualExtractor:
    """Makes PinVisuals from images with one detector and one embedder.

    projection: of the vectors of objects; None leaves them as they are pooled or embedded.
    feature_version: short hash of everything that changes the numbers. Raises ValueError where the
    projection was learned on other features.
    """

    def __init__(
        self,
        detector: Detector,
        embedder: Embedder,
        settings: VisualSettings | None = None,
        projection: Projection | None = None,
    ) -> None:
        self.detector = detector
        self.embedder = embedder
        self.settings = settings or VisualSettings()
        self.projection = projection
        if projection is not None and projection.learned_on != self.features:
            raise ValueError(
                f"The projection was learned on {projection.learned_on}, not on {self.features}; "
                "learn another with `related-pins features learn`, or use none."
            )
        self.feature_version = self._version(projection.version if projection else None)

    @property
    def plain_version(self) -> str:
        """The feature version of the same visuals without a projection."""
        return self._version(None)

    def _version(self, projection: str | None) -> str:
        versions = [self.detector.version, self.embedder.version, projection]
        text = json.dumps([SCHEMA, versions, asdict(self.settings)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def features(self) -> str:
        """Version of the features that a projection takes: the pooling and what pools."""
        if self.settings.pooling == "roi_align":
            return f"roi_align {self.detector.pooling_version}"
        return f"crop {self.embedder.version}"

    def extract(self, images: Sequence[Image], keep: Keep | None = None) -> list[PinVisual]:
        """One PinVisual per image, in order; a batch gives what single calls give.

        keep: the boxes to describe, given what was detected; by default those worth keeping.
        """
        keep = keep or self.worth_keeping
        if self.settings.pooling == "crop":
            return self.describe(images, [keep(found) for found in self.detector.detect(images)])
        detected = self.detector.detect(images, regions=lambda found: self._regions(keep(found)))
        found = [keep(objects) for objects in detected]
        return self._visuals(images, found, [d.pooled for d in detected if d.pooled is not None])

    def describe(self, images: Sequence[Image], found: Sequence[Detections]) -> list[PinVisual]:
        """PinVisuals of images whose boxes are given."""
        regions = [self._regions(objects) for objects in found]
        if self.settings.pooling == "roi_align":
            return self._visuals(images, found, self.detector.pool(images, regions))
        return self._visuals(images, found, self._embed(images, regions))

    def worth_keeping(self, found: Detections) -> Detections:
        return worth_keeping(found, self.detector.settings.thresholds, self.settings)

    def _regions(self, found: Detections) -> NDArray[np.float32]:
        """`(1 + 2 N, 4)`: the whole image, the N boxes, the N boxes with context."""
        whole = np.array([[0, 0, found.width, found.height]], dtype=np.float32)
        padded = pad(found.boxes, self.settings.padding, found.width, found.height)
        return np.concatenate([whole, found.boxes, padded.astype(np.float32)])

    def _embed(
        self, images: Sequence[Image], regions: Sequence[NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """The embedder's vectors `(R, D)` of each image's regions, all crops in one batch."""
        crops = [
            cut(picture, box, self.embedder.side)
            for picture, boxes in zip(_pictures(images), regions, strict=True)
            for box in boxes
        ]
        ends = np.cumsum([len(boxes) for boxes in regions])[:-1]
        return np.split(self.embedder.embed(crops), ends)

    def _visuals(
        self,
        images: Sequence[Image],
        found: Sequence[Detections],
        vectors: Sequence[NDArray[np.float32]],
    ) -> list[PinVisual]:
        if self.settings.pooling == "crop":
            wholes = [rows[:1] for rows in vectors]
        else:
            whole = [np.array([[0, 0, i.width, i.height]], dtype=np.float32) for i in images]
            wholes = self._embed(images, whole)
        parts = zip(images, _pictures(images), found, wholes, vectors, strict=True)
        visuals = [_visual(*part) for part in parts]
        return [v.projected(self.projection) for v in visuals] if self.projection else visuals


def _pictures(images: Sequence[Image]) -> Iterator[pil.Image]:
    return (pil.fromarray(image.pixels) for image in images)


def _visual(
    image: Image,
    picture: pil.Image,
    objects: Detections,
    whole: NDArray[np.float32],
    vectors: NDArray[np.float32],
) -> PinVisual:
    n = len(objects.scores)
    colours = [salient_colour(cut(picture, box, SIDE)) for box in objects.boxes]
    return PinVisual(
        content_hash=image.content_hash,
        width=image.width,
        height=image.height,
        whole=whole[0],
        whole_crop=vectors[0],
        boxes=objects.boxes,
        scores=objects.scores,
        categories=objects.labels,
        crops=vectors[1 : 1 + n],
        padded=vectors[1 + n :],
        colours=np.array(colours, dtype=np.float32).reshape(-1, 3),
    )
