"""Pin images: bytes in, upright RGB pixels out, or a reason why not."""

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as pil
from PIL import ImageOps

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


class UnreadableImage(ValueError):
    """An image that cannot become pixels; its text is the reason, in one sentence."""


@dataclass(frozen=True)
class Limits:
    """What an image may cost. Larger ones are refused before their pixels are decoded."""

    max_pixels: int = 50_000_000
    max_bytes: int = 50 * 1024 * 1024


@dataclass(frozen=True, eq=False)
class Image:
    """An upright RGB image.

    uri: where it came from. content_hash: sha256 of its bytes, hex.
    width, height: pixels, after EXIF rotation.
    pixels: `(height, width, 3)` uint8 RGB.
    """

    uri: str
    content_hash: str
    width: int
    height: int
    pixels: NDArray[np.uint8]


def load_image(source: str | Path | bytes, limits: Limits | None = None, uri: str = "") -> Image:
    """The image at a path, or in bytes, as upright RGB: the first frame of an animation,
    transparency over white, 16-bit scaled to 8. The file's suffix does not matter.

    Raises UnreadableImage with the reason for anything that is not a whole JPEG, PNG, WEBP, GIF,
    BMP or TIFF image within the limits.
    """
    limits = limits or Limits()
    data = source if isinstance(source, bytes) else _read(Path(source), limits)
    if not data:
        raise UnreadableImage("The file is empty.")
    if len(data) > limits.max_bytes:
        raise UnreadableImage(_too_many_bytes(len(data), limits))
    pixels = _decode(data, limits)
    return Image(
        uri=uri or ("" if isinstance(source, bytes) else str(source)),
        content_hash=hashlib.sha256(data).hexdigest(),
        width=pixels.shape[1],
        height=pixels.shape[0],
        pixels=pixels,
    )


def _read(path: Path, limits: Limits) -> bytes:
    try:
        size = path.stat().st_size
        if size > limits.max_bytes:
            raise UnreadableImage(_too_many_bytes(size, limits))
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"The file cannot be read ({error.strerror}).") from error


def _too_many_bytes(size: int, limits: Limits) -> str:
    return f"The file has {size} bytes; the limit is {limits.max_bytes}."


def _decode(data: bytes, limits: Limits) -> NDArray[np.uint8]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pil.open(io.BytesIO(data), formats=FORMATS) as file:
                _check_pixels(file, limits)
                file.load()
                return np.array(_to_rgb(ImageOps.exif_transpose(file)))
    except UnreadableImage:
        raise
    except pil.DecompressionBombError as error:
        raise UnreadableImage("The image has far more pixels than the limit.") from error
    except Exception as error:
        raise UnreadableImage(f"The image cannot be decoded ({_one_line(error)}).") from error


def _check_pixels(file: pil.Image, limits: Limits) -> None:
    if file.width * file.height > limits.max_pixels:
        raise UnreadableImage(
            f"The image has {file.width} x {file.height} pixels; the limit is {limits.max_pixels}."
        )


def _to_rgb(image: pil.Image) -> pil.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _scale_to_8_bit(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = pil.new("RGBA", rgba.size, "white")
        return pil.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _scale_to_8_bit(image: pil.Image) -> pil.Image:
    values = np.asarray(image, dtype=np.float64)
    if image.mode == "F":
        low, high = float(values.min()), float(values.max())
        values = (values - low) / ((high - low) or 1.0) * 255
    else:
        values = values / 257
    return pil.fromarray(np.clip(values.round(), 0, 255).astype(np.uint8))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
