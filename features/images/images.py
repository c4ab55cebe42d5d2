"""Pin images: bytes in, upright RGB pixels out, or a reason why not."""

import hashlib
import io
import os
import re
import stat
import warnings
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as pil
from PIL import ImageOps, JpegImagePlugin, TiffImagePlugin, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
TILE_SIZE = (322, 323)  # tags of TIFF 6.0, section 15: width and height of a tile
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # of JPEG (ITU T.81, B.1.1.3), but no restart

# filters belong to the process and not to a thread, so they cannot be set around each decoding
warnings.filterwarnings("ignore", module=r"PIL\.")


class UnreadableImage(ValueError):
    """An image that cannot become pixels; its text is the reason, in one sentence."""


@dataclass(frozen=True)
class Limits:
    """What an image may cost. Larger ones are refused before their pixels are decoded.

    max_scans: passes over all pixels that a progressive JPEG may ask for; encoders write about 10,
    and a file of a megabyte can hold ten thousand, which would take minutes.
    """

    max_pixels: int = 50_000_000
    max_bytes: int = 50 * 1024 * 1024
    max_scans: int = 100


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


def try_image(path: Path) -> Image | UnreadableImage:
    """The image at a path, or why it is none."""
    try:
        return load_image(path)
    except UnreadableImage as error:
        return error


def image_file(source: Path, image: str) -> Path:
    """The path of an image of the source folder.

    Raises UnreadableImage where it leads out of the folder, by its name or by a link.
    """
    try:
        inside = (source / image).resolve().is_relative_to(source.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise UnreadableImage(f"The file's name leads nowhere ({_one_line(error)}).") from error
    if not inside:
        raise UnreadableImage("The file is outside of the source folder; put a copy inside.")
    return source / image


def open_image(path: Path, limits: Limits | None = None) -> BufferedReader:
    """The image file, open for reading; opening never waits.

    Raises UnreadableImage for what cannot be read, is no regular file (a pipe, a device) or has
    too many bytes.
    """
    limits = limits or Limits()
    try:
        file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115
    except OSError as error:
        raise UnreadableImage(f"The file cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise UnreadableImage(f"The file cannot be read ({_one_line(error)}).") from error
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_size <= limits.max_bytes:
        return file
    file.close()
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImage("The file cannot be read (it is no regular file).")
    raise UnreadableImage(_too_many_bytes(status.st_size, limits))


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _read(path: Path, limits: Limits) -> bytes:
    with open_image(path, limits) as file:
        try:
            return file.read(limits.max_bytes + 1)
        except OSError as error:
            raise UnreadableImage(f"The file cannot be read ({error.strerror}).") from error


def _too_many_bytes(size: int, limits: Limits) -> str:
    return f"The file has {size} bytes; the limit is {limits.max_bytes}."


def _decode(data: bytes, limits: Limits) -> NDArray[np.uint8]:
    try:
        with pil.open(io.BytesIO(data), formats=FORMATS) as file:
            _check_cost(file, data, limits)
            file.load()
            return np.array(_to_rgb(_upright(file)))
    except UnreadableImage:
        raise
    except UnidentifiedImageError as error:  # its text holds an address in memory
        formats = ", ".join(FORMATS)
        raise UnreadableImage(f"The file cannot be decoded: it is none of {formats}.") from error
    except pil.DecompressionBombError as error:
        raise UnreadableImage("The image has far more pixels than the limit.") from error
    except Exception as error:
        raise UnreadableImage(f"The image cannot be decoded ({_one_line(error)}).") from error


def _check_cost(file: pil.Image, data: bytes, limits: Limits) -> None:
    width, height = file.size
    if isinstance(file, TiffImagePlugin.TiffImageFile):
        tile = (file.tag_v2.get(tag, side) for tag, side in zip(TILE_SIZE, file.size, strict=True))
        width, height = np.maximum(file.size, [int(side) for side in tile]).tolist()
    if width * height > limits.max_pixels:
        raise UnreadableImage(
            f"The image has {width} x {height} pixels; the limit is {limits.max_pixels}."
        )
    if isinstance(file, JpegImagePlugin.JpegImageFile) and jpeg_scans(data) > limits.max_scans:
        raise UnreadableImage(f"The image has more than {limits.max_scans} scans.")


def jpeg_scans(data: bytes) -> int:
    """The scans (passes over the pixels) of the first image of a JPEG file, by its markers.

    >>> jpeg_scans(b"\\xff\\xd8" + 3 * b"\\xff\\xda\\x00\\x02pixels" + b"\\xff\\xd9\\xff\\xda")
    3
    """
    at, scans = 2, 0
    while (marker := _MARKER.search(data, at)) and marker.group() != b"\xff\xd9":
        scans += marker.group() == b"\xff\xda"
        at = marker.end() + max(int.from_bytes(data[marker.end() : marker.end() + 2]), 2)
    return scans


def _upright(image: pil.Image) -> pil.Image:
    """The image turned as its EXIF data say; as it is where they are damaged."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


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
        finite = values[np.isfinite(values)]
        low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
        values = np.nan_to_num((np.clip(values, low, high) - low) / ((high - low) or 1.0)) * 255
    else:
        values = values / 257
    return pil.fromarray(np.clip(values.round(), 0, 255).astype(np.uint8))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
