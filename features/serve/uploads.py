"""Uploads: one image and a few words, read into memory within limits; nothing is kept."""

import math
import re
from collections.abc import AsyncGenerator, Set
from dataclasses import dataclass
from typing import Any

import anyio
import numpy as np
from numpy.typing import NDArray
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from features.images.images import Image, Limits, UnreadableImage, load_image

MAX_BYTES = 20 * 2**20
FORM_BYTES = 64 * 2**10  # that a form may add to its image
READ_SECONDS = 30.0
MOST_FIELDS, MOST_BOXES, MOST_TOP, TOP = 40, 16, 100, 20
LEAST_SIDE = 4  # pixels
LIMITS = Limits(max_bytes=MAX_BYTES)
_WORD = re.compile(r"[a-z][a-z _-]{0,63}")
FIELDS = frozenset({"image", "box", "category", "top"})
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {
                            "type": "string",
                            "format": "binary",
                            "description": "JPEG, PNG, WEBP, GIF, BMP or TIFF: at most "
                            f"{MAX_BYTES // 2**20} MiB and {LIMITS.max_pixels:,} pixels.",
                        },
                    },
                }
            }
        },
    }
}
SEARCH_FIELDS: dict[str, Any] = {
    "box": {
        "type": "array",
        "maxItems": MOST_BOXES,
        "items": {"type": "string", "pattern": r"^\d{1,5},\d{1,5},\d{1,5},\d{1,5}$"},
        "description": "Crops to search for, x1,y1,x2,y2 in pixels of the upright image; without "
        "any, its objects are found.",
    },
    "category": {
        "type": "array",
        "items": {"type": "string", "pattern": r"^[a-z][a-z _-]{0,63}$"},
        "description": "Only objects of these categories are searched.",
    },
    "top": {
        "type": "integer",
        "minimum": 1,
        "maximum": MOST_TOP,
        "default": TOP,
        "description": "Results per object.",
    },
}


@dataclass(frozen=True, eq=False)
class Upload:
    """What was sent: the bytes of an image, and what of it is asked.

    boxes: `(N, 4)` float32 xyxy as sent, None where none were. categories: None for all.
    """

    data: bytes
    boxes: NDArray[np.float32] | None
    categories: tuple[str, ...] | None
    top: int


class _InMemory(MultiPartParser):
    spool_max_size = MAX_BYTES + FORM_BYTES  # never a file on disk


async def read_upload(request: Request, fields: Set[str] = FIELDS) -> Upload:
    """The upload of a multipart form, which may have these fields.

    Raises HTTPException with a sentence: 408 too slow, 413 too large, 415 no such form, 422 a field
    that is missing or wrong, 400 a form that cannot be read.
    """
    kind, _ = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise HTTPException(415, "Send a form (multipart/form-data) with the file as `image`.")
    try:
        with anyio.fail_after(READ_SECONDS):
            return await _parsed(request, fields)
    except TimeoutError as error:
        raise HTTPException(
            408, f"The upload took more than {READ_SECONDS:g} seconds; send a smaller image."
        ) from error


async def _parsed(request: Request, fields: Set[str]) -> Upload:
    parser = _InMemory(
        request.headers, _limited(request), max_files=1, max_fields=MOST_FIELDS,
        max_part_size=FORM_BYTES,
    )  # fmt: skip
    try:
        form = await parser.parse()
    except HTTPException:
        raise
    except MultiPartException as error:
        raise HTTPException(400, f"The form cannot be read: {error.message}") from error
    except Exception as error:  # of headers and charsets that no browser sends
        raise HTTPException(400, "The form cannot be read.") from error
    try:
        return await _upload(form, fields)
    finally:
        await form.close()


async def _limited(request: Request) -> AsyncGenerator[bytes, None]:
    """The body; ends with 413 as soon as it is, or says it will be, too large."""
    most, size = MAX_BYTES + FORM_BYTES, 0
    said = request.headers.get("content-length", "0")
    too_large = HTTPException(413, f"The image may have {MAX_BYTES // 2**20} MiB at most.")
    if said.isdecimal() and int(said) > most:
        raise too_large
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise too_large
        yield part


async def _upload(form: FormData, fields: Set[str]) -> Upload:
    images = [value for value in form.getlist("image") if isinstance(value, UploadFile)]
    if len(images) != 1:
        raise _wrong("Send one file as `image`.")
    if unknown := sorted(set(form) - fields):
        there = ", ".join(sorted(fields))
        raise _wrong(f"There is no field {unknown[0][:40]!a}; the form may have: {there}.")
    words = {name: [v for v in form.getlist(name) if isinstance(v, str)] for name in FIELDS}
    return Upload(
        data=await images[0].read(),
        boxes=parse_boxes(words["box"]),
        categories=_categories(words["category"]),
        top=_top(words["top"]),
    )


def parse_boxes(texts: list[str]) -> NDArray[np.float32] | None:
    """`(N, 4)` float32 of texts x1,y1,x2,y2; None without any. Raises HTTPException 422.

    >>> parse_boxes(["1,2,30,40.5"]).tolist()
    [[1.0, 2.0, 30.0, 40.5]]
    """
    if len(texts) > MOST_BOXES:
        raise _wrong(f"Send at most {MOST_BOXES} boxes.")
    boxes = [_box(text) for text in texts]
    return np.array(boxes, dtype=np.float32) if boxes else None


def _box(text: str) -> list[float]:
    try:
        edges = [float(edge) for edge in text[:200].split(",")]
    except ValueError:
        edges = []
    right = len(edges) == 4 and all(math.isfinite(edge) and abs(edge) < 1e6 for edge in edges)
    if not right or edges[0] >= edges[2] or edges[1] >= edges[3]:
        raise _wrong("A box is x1,y1,x2,y2: four pixels, left before right and top before bottom.")
    return edges


def _categories(words: list[str]) -> tuple[str, ...] | None:
    if not all(_WORD.fullmatch(word) for word in words):
        raise _wrong("A category is a word such as bag.")
    return tuple(dict.fromkeys(words)) or None


def _top(words: list[str]) -> int:
    if not words:
        return TOP
    if not (re.fullmatch("[0-9]{1,3}", words[0]) and 1 <= int(words[0]) <= MOST_TOP):
        raise _wrong(f"`top` is a number from 1 to {MOST_TOP}.")
    return int(words[0])


def decoded(data: bytes) -> Image:
    """The uploaded image. Raises HTTPException 422 with the reason where it is none."""
    try:
        return load_image(data, LIMITS, uri="upload")
    except UnreadableImage as error:
        raise HTTPException(422, str(error)) from error


def inside(boxes: NDArray[np.float32] | None, image: Image) -> NDArray[np.float32] | None:
    """The boxes, cut to the image. Raises HTTPException 422 where less than 4 pixels are left."""
    if boxes is None:
        return None
    edges = np.array([image.width, image.height] * 2, dtype=np.float32)
    cut = np.clip(boxes, 0, edges)
    if (cut[:, 2:] - cut[:, :2]).min() < LEAST_SIDE:
        raise _wrong(
            f"A box covers less than {LEAST_SIDE} pixels of the image, which has "
            f"{image.width} x {image.height}."
        )
    return cut


def _wrong(sentence: str) -> HTTPException:
    return HTTPException(422, sentence)
