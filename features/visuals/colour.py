"""The salient colour of an object, in CIE Lab."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as pil
from PIL import ImageCms

SIDE = 32
BIN = 12.0
NEAR = 20.0


def lab(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """CIE Lab `(H, W, 3)` float32 (L* 0 to 100, a* and b* about -128 to 127, white point D50) of
    sRGB pixels `(H, W, 3)` uint8, by LittleCMS, in steps of 0.4 (L*) and 1 (a*, b*).
    """
    converted = ImageCms.applyTransform(pil.fromarray(pixels), _srgb_to_lab())
    values = np.asarray(converted).astype(np.int16)
    values[..., 1:] = (values[..., 1:] ^ 128) - 128
    return np.asarray(values * np.array([100 / 255, 1, 1]), dtype=np.float32)


def salient_colour(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The Lab colour `(3,)` float32 that most of the middle of a crop `(H, W, 3)` uint8 has.

    Pixels vote for bins of Lab with a weight that falls from the centre (the object) to the edge
    (often background); votes of the crop's outermost ring count against their bin. The result is
    the mean of the pixels within 20 units of the winning bin.
    """
    small = np.asarray(pil.fromarray(crop).resize((SIDE, SIDE), pil.Resampling.BOX))
    colours = lab(small).reshape(-1, 3)
    votes = _centre_votes()
    bins = np.floor(colours / BIN).astype(np.int64) + 16
    codes = (bins[:, 0] * 64 + bins[:, 1]) * 64 + bins[:, 2]
    names, places = np.unique(codes, return_inverse=True)
    winner = np.bincount(places, votes, minlength=len(names)).argmax()
    middle = np.average(colours[places == winner], axis=0)
    weights = np.clip(votes, 1e-6, None)
    weights = weights * (np.linalg.norm(colours - middle, axis=1) < NEAR)
    return np.average(colours, axis=0, weights=weights).astype(np.float32)


def colour_distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance `(...)` between Lab colours `(..., 3)`: CIE76, about 2.3 is just noticeable.

    >>> float(colour_distance(np.array([50.0, 0, 0]), np.array([50.0, 3, 4])))
    5.0
    """
    return np.asarray(np.linalg.norm(first - second, axis=-1))


@cache
def _srgb_to_lab() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )


@cache
def _centre_votes() -> NDArray[np.float64]:
    steps = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    distance = steps[:, None] ** 2 + steps[None, :] ** 2
    votes = np.exp(-distance / 0.4)
    ring = np.ones((SIDE, SIDE), dtype=bool)
    ring[2:-2, 2:-2] = False
    votes[ring] = -0.15
    return votes.ravel()
