"""Pictures of pins for a page: thumbnails of bounded size, boxes, and the heat of crops."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from features.images.images import UnreadableImage, load_image
from features.picture import draw_objects

LARGE = (440, 520)
MEDIUM = (340, 420)
SMALL = (220, 260)
_BYTES_PER_PIXEL = 0.28
_FAINT = 0.35


@dataclass(frozen=True, eq=False)
class Photo:
    """A pin's photo made smaller; `scale` turns pixels of the original into its pixels."""

    image: Image.Image
    scale: float


def load_photo(path: Path, within: tuple[int, int]) -> Photo | None:
    """The upright photo, at most `within` (width, height) pixels; None where it cannot be read."""
    try:
        image = Image.fromarray(load_image(path).pixels)
    except UnreadableImage:
        return None
    scale = min(within[0] / image.width, within[1] / image.height, 1.0)
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    return Photo(image.resize(size, Image.Resampling.LANCZOS), scale)


def with_boxes(
    photo: Photo,
    boxes: NDArray[np.float64],
    labels: Sequence[str],
    scores: Sequence[float],
    dominant: int | None = None,
) -> Image.Image:
    """The photo with `(N, 4)` boxes, xyxy in pixels of the original; see draw_objects."""
    return draw_objects(photo.image, boxes * photo.scale, labels, scores, dominant)


def crop_density(
    crops: NDArray[np.float64], users: Sequence[str], size: tuple[int, int]
) -> NDArray[np.float64]:
    """`(height, width)` share of the users whose crops cover each pixel, 0 to 1.

    crops: `(C, 4)` xyxy in pixels of an image of `size` (width, height). Every user has one vote,
    split over that user's crops. All zero without crops.

    >>> crop_density(np.array([[0.0, 0, 2, 1], [0, 0, 1, 1]]), ["ann", "bob"], (3, 1)).tolist()
    [[1.0, 0.5, 0.0]]
    """
    width, height = size
    steps = np.zeros((height + 1, width + 1))
    if not len(crops):
        return steps[:height, :width]
    _, user, n_crops = np.unique(np.asarray(users), return_inverse=True, return_counts=True)
    edges = np.clip(np.rint(np.nan_to_num(crops)), 0, [width, height] * 2).astype(int)
    votes = 1 / n_crops[user]
    for (x, y), sign in (((0, 1), 1), ((2, 3), 1), ((0, 3), -1), ((2, 1), -1)):
        np.add.at(steps, (edges[:, y], edges[:, x]), sign * votes)
    covered = steps.cumsum(axis=0).cumsum(axis=1)[:height, :width]
    return np.asarray(np.clip(covered / len(n_crops), 0, 1))


def heat(photo: Photo, crops: NDArray[np.float64], users: Sequence[str]) -> Image.Image:
    """The photo in pale grey under the density of crops, from dark violet to light yellow.

    crops: `(C, 4)` xyxy in pixels of the original. The brightest place is what most users cropped.
    """
    grey = ImageOps.autocontrast(photo.image.convert("L"), cutoff=1)
    density = crop_density(crops * photo.scale, users, photo.image.size)
    blur = Image.fromarray((density / max(density.max(), 1e-9) * 255).astype(np.uint8))
    strength = np.asarray(blur.filter(ImageFilter.GaussianBlur(6)), np.float64) / 255
    colour = matplotlib.colormaps["inferno"](0.3 + 0.65 * strength)[..., :3] * 255
    cover = 0.8 * strength[..., None] ** 0.7
    pale = 40 + np.asarray(grey, np.float64)[..., None] * (1 - _FAINT)
    return Image.fromarray((pale * (1 - cover) + colour * cover).astype(np.uint8))


def data_uri(image: Image.Image) -> str:
    """The image as a JPEG in a data: URI, of at most 0.28 bytes per pixel (and 2 kB) where quality
    can be lowered that far.
    """
    limit = max(int(image.width * image.height * _BYTES_PER_PIXEL), 2000)
    for quality in (82, 70, 55, 40, 25, 10):
        file = io.BytesIO()
        image.convert("RGB").save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() <= limit:
            break
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
