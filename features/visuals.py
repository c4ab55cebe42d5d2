"""Images -> PinVisuals: what the system knows of a pin from its pixels."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as pil

from features.boxes import area, pad
from features.colour import salient_colour
from features.detector import Detections, Detector
from features.embedding import Embedder, cut, unit
from features.images import Image

SCHEMA = "1"


@dataclass(frozen=True)
class VisualSettings:
    """What a PinVisual's numbers depend on, beside the detector's and the embedder's weights.

    min_score: objects below it are dropped, where the detector has no threshold for their
    category. max_objects: kept per image, best scores first.
    padding: context around a padded crop, share of the box per side. pooling: 'crop' embeds the
    pixels of each box; 'roi_align' pools the detector's own feature map, in the same pass.
    """

    min_score: float = 0.4
    max_objects: int = 8
    padding: float = 0.25
    pooling: str = "crop"

    def __post_init__(self) -> None:
        if self.pooling not in ("crop", "roi_align"):
            raise ValueError(f"pooling is 'crop' or 'roi_align', not '{self.pooling}'.")


@dataclass(frozen=True, eq=False)
class PinVisual:
    """One image as the ranker sees it; N objects by falling score, N may be 0.

    whole: `(D,)` float32 unit vector. boxes: `(N, 4)` float32 xyxy, pixels of the original.
    scores: `(N,)` in [0, 1]. categories: N names. crops, padded: `(N, D)` unit vectors of the tight
    and of the padded boxes (the same for roi_align, whose features see the context anyway).
    colours: `(N, 3)` Lab.
    """

    content_hash: str
    width: int
    height: int
    whole: NDArray[np.float32]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    categories: tuple[str, ...]
    crops: NDArray[np.float32]
    padded: NDArray[np.float32]
    colours: NDArray[np.float32]

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
    return Detections(
        boxes=found.boxes[rows],
        scores=found.scores[rows],
        labels=tuple(found.labels[row] for row in rows),
        width=found.width,
        height=found.height,
        pooled=None if found.pooled is None else found.pooled[rows],
        pooled_whole=found.pooled_whole,
    )


class VisualExtractor:
    """Makes PinVisuals from images with one detector and one embedder.

    feature_version: short hash of everything that changes the numbers.
    """

    def __init__(
        self, detector: Detector, embedder: Embedder, settings: VisualSettings | None = None
    ) -> None:
        self.detector = detector
        self.embedder = embedder
        self.settings = settings or VisualSettings()
        parts = [SCHEMA, detector.version, embedder.version, asdict(self.settings)]
        text = json.dumps(parts, sort_keys=True)
        self.feature_version = hashlib.sha256(text.encode()).hexdigest()[:12]

    def extract(self, images: Sequence[Image]) -> list[PinVisual]:
        """One PinVisual per image, in order; a batch gives what single calls give."""
        pooled = self.settings.pooling == "roi_align"
        found = [self._keep(objects) for objects in self.detector.detect(images, pooled=pooled)]
        return self._pooled(images, found) if pooled else self.describe(images, found)

    def describe(self, images: Sequence[Image], found: Sequence[Detections]) -> list[PinVisual]:
        """PinVisuals of images whose boxes are given (crop pooling), all crops in one batch."""
        cuts = [_cuts(image, objects, self.settings.padding, self.embedder.side)
                for image, objects in zip(images, found, strict=True)]  # fmt: skip
        vectors = self.embedder.embed([crop for crops in cuts for crop in crops])
        parts = np.split(vectors, np.cumsum([len(crops) for crops in cuts])[:-1])
        return [
            _visual(image, objects, part[0], part[1::2], part[2::2], crops[1::2])
            for image, objects, part, crops in zip(images, found, parts, cuts, strict=True)
        ]

    def _keep(self, found: Detections) -> Detections:
        return worth_keeping(found, self.detector.settings.thresholds, self.settings)

    def _pooled(self, images: Sequence[Image], found: Sequence[Detections]) -> list[PinVisual]:
        visuals = []
        for image, objects in zip(images, found, strict=True):
            assert objects.pooled is not None
            assert objects.pooled_whole is not None
            crops = unit(objects.pooled)
            picture = pil.fromarray(image.pixels)
            tight = [cut(picture, box, 32) for box in objects.boxes]
            whole = unit(objects.pooled_whole[None])[0]
            visuals.append(_visual(image, objects, whole, crops, crops, tight))
        return visuals


def _cuts(image: Image, objects: Detections, padding: float, side: int) -> list[NDArray[np.uint8]]:
    """The whole image, then per object its tight and its padded crop."""
    picture = pil.fromarray(image.pixels)
    cuts = [cut(picture, (0, 0, image.width, image.height), side)]
    padded = pad(objects.boxes, padding, image.width, image.height)
    for box, context in zip(objects.boxes, padded, strict=True):
        cuts += [cut(picture, box, side), cut(picture, context, side)]
    return cuts


def _visual(
    image: Image,
    objects: Detections,
    whole: NDArray[np.float32],
    crops: NDArray[np.float32],
    padded: NDArray[np.float32],
    tight: Sequence[NDArray[np.uint8]],
) -> PinVisual:
    colours = [salient_colour(crop) for crop in tight]
    return PinVisual(
        content_hash=image.content_hash,
        width=image.width,
        height=image.height,
        whole=whole,
        boxes=objects.boxes,
        scores=objects.scores,
        categories=objects.labels,
        crops=crops,
        padded=padded,
        colours=np.array(colours, dtype=np.float32).reshape(-1, 3),
    )
