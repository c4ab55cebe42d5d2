"""Objects in image files, outside of any database."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image as pil

from features.detector.detector import Detections, Detector, load_detector
from features.images.images import Image, UnreadableImage, load_image
from features.picture import draw_objects
from features.visuals.store import Progress
from features.visuals.visuals import VisualSettings, worth_keeping

BATCH = 16
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True)
class FoundObject:
    """One object; box is x1, y1, x2, y2 in pixels of the original image, score 0 to 1."""

    category: str
    score: float
    box: tuple[float, ...]


@dataclass(frozen=True)
class FoundImage:
    """The objects of one image, by falling score; width and height in pixels, upright."""

    image: str
    width: int
    height: int
    objects: tuple[FoundObject, ...]


@dataclass(frozen=True)
class Found:
    """Images by name, and why others could not be read."""

    images: list[FoundImage]
    unreadable: dict[str, str]


def detect_files(
    path: Path, detector: str, min_score: float | None, draw: Path | None, progress: Progress
) -> Found:
    """Objects with at least `min_score` in an image file, or in every image of a folder, by name;
    with None those that the daily job would keep.

    With `draw`, also pictures with the boxes in that folder. Raises FileNotFoundError where the
    path does not exist and ValueError where a folder holds no image.
    """
    files = _image_files(path)
    model = load_detector(detector)
    images, unreadable = [], {}
    for start in range(0, len(files), BATCH):
        batch = {}
        for file in files[start : start + BATCH]:
            name = file.name if path.is_dir() else str(file)
            try:
                batch[name] = load_image(file)
            except UnreadableImage as error:
                unreadable[name] = str(error)
        for (name, image), found in zip(
            batch.items(), model.detect(list(batch.values())), strict=True
        ):
            images.append(_found_image(name, _shown(found, model, min_score)))
            if draw is not None:
                _draw(image, images[-1], draw)
        progress("detect", min(start + BATCH, len(files)), len(files))
    return Found(images, unreadable)


def _image_files(path: Path) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(f"There is no image or folder at {path}.")
    if path.is_file():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"The folder {path} holds no image ({', '.join(sorted(SUFFIXES))}).")
    return files


def _shown(found: Detections, model: Detector, min_score: float | None) -> Detections:
    if min_score is None:
        return worth_keeping(found, model.settings.thresholds, VisualSettings())
    every = VisualSettings(min_score=min_score, max_objects=len(found.scores))
    return worth_keeping(found, {}, every)


def _found_image(name: str, found: Detections) -> FoundImage:
    objects = tuple(
        FoundObject(label, round(float(score), 4), tuple(round(edge, 1) for edge in box))
        for label, score, box in zip(found.labels, found.scores, found.boxes.tolist(), strict=True)
    )
    return FoundImage(name, found.width, found.height, objects)


def _draw(image: Image, found: FoundImage, folder: Path) -> None:
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    boxes = np.array([o.box for o in found.objects], dtype=np.float32).reshape(-1, 4)
    labels, scores = [o.category for o in found.objects], [o.score for o in found.objects]
    drawn = draw_objects(pil.fromarray(image.pixels), boxes, labels, scores)
    drawn.save(folder / f"{Path(found.image).stem}.png")
