"""Boxes drawn on a pin's image, each with its category and score."""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Rectangle = tuple[float, float, float, float]
Colour = tuple[int, int, int]

COLOURS: tuple[Colour, ...] = (
    (225, 29, 72), (2, 132, 199), (234, 120, 10), (22, 163, 74), (126, 34, 206), (45, 212, 220),
    (236, 72, 183), (250, 204, 21), (13, 118, 110), (180, 110, 40), (153, 27, 27), (30, 41, 160),
    (163, 230, 53), (249, 168, 212),
)  # fmt: skip
SPREAD = 169  # start value of the checksum that gives the garments different colours


def draw_objects(
    image: Image.Image,
    boxes: NDArray[np.float32] | NDArray[np.float64],
    labels: Sequence[str],
    scores: Sequence[float],
    dominant: int | None = None,
) -> Image.Image:
    """A new RGB image with the boxes on it; the given one is left as it is.

    boxes: `(N, 4)` xyxy in pixels of `image`. labels: N categories; a box with an empty one gets
    no plate. scores: N, 0 to 1, in percent on the plate; NaN leaves it out. dominant: number of the
    box with the thick line and a star before its category. N = 0 gives a copy.

    Raises ValueError unless boxes, labels and scores have the same length.

    >>> plain = Image.new("RGB", (60, 40), "white")
    >>> drawn = draw_objects(plain, np.array([[10.0, 10, 50, 30]]), ["bag"], [0.9])
    >>> drawn.size, drawn.getpixel((10, 20)) == colour_of("bag")
    ((60, 40), True)
    """
    if not len(boxes) == len(labels) == len(scores):
        raise ValueError(
            f"Give as many labels ({len(labels)}) and scores ({len(scores)}) as boxes "
            f"({len(boxes)})."
        )
    drawn = image.convert("RGB") if image.mode != "RGB" else image.copy()
    pen = ImageDraw.Draw(drawn)
    line = max(2, round(max(drawn.size) / 300))
    font = ImageFont.load_default(max(11, round(max(drawn.size) / 40)))
    for number in sorted(range(len(boxes)), key=lambda n: n == dominant):
        width = line * 2 if number == dominant else line
        _outline(pen, boxes[number], colour_of(labels[number]), width, drawn.size)
    taken: list[Rectangle] = []
    first = [] if dominant is None else [dominant]
    for number in first + [n for n in range(len(boxes)) if n != dominant]:
        if labels[number]:
            text = _caption(labels[number], scores[number], number == dominant)
            at = _place(pen, boxes[number], text, font, drawn.size, taken)
            taken.append(at)
            _plate(pen, at, text, font, colour_of(labels[number]))
    return drawn


def colour_of(label: str) -> Colour:
    """The colour of a category, RGB 0 to 255: the same in every picture."""
    return COLOURS[zlib.crc32(label.encode("utf-8", "replace"), SPREAD) % len(COLOURS)]


def _caption(label: str, score: float, dominant: bool) -> str:
    words = " ".join(label.split())[:24]
    percent = "" if np.isnan(score) else f" {score:.0%}"
    return f"{'* ' if dominant else ''}{words}{percent}"


def _outline(
    pen: ImageDraw.ImageDraw,
    box: NDArray[np.float32] | NDArray[np.float64],
    colour: Colour,
    width: int,
    size: tuple[int, int],
) -> None:
    x1, y1, x2, y2 = (float(edge) for edge in box)
    x1, x2 = sorted(min(max(x, 0), size[0] - 1) for x in (x1, x2))
    y1, y2 = sorted(min(max(y, 0), size[1] - 1) for y in (y1, y2))
    pen.rectangle((x1, y1, x2, y2), outline=colour, width=width)


def _place(
    pen: ImageDraw.ImageDraw,
    box: NDArray[np.float32] | NDArray[np.float64],
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    size: tuple[int, int],
    taken: Sequence[Rectangle],
) -> Rectangle:
    """Where the plate covers the fewest others: over the box, inside its corners, or under it."""
    left, _top, right, bottom = pen.textbbox((0, 0), text, font=font)
    width, height = right - left + 6, bottom + 5
    x1, y1, x2, y2 = (float(edge) for edge in box)
    corners = [(x1, y1 - height), (x1, y1), (x1, y2 - height), (x2 - width, y1),
               (x2 - width, y2 - height), (x1, y2)]  # fmt: skip
    places = []
    for x, y in corners:
        x = min(max(x, 0), max(size[0] - width, 0))
        y = min(max(y, 0), max(size[1] - height, 0))
        places.append((x, y, x + width, y + height))
    return min(places, key=lambda place: sum(_shared(place, other) for other in taken))


def _shared(first: Rectangle, second: Rectangle) -> float:
    wide = min(first[2], second[2]) - max(first[0], second[0])
    high = min(first[3], second[3]) - max(first[1], second[1])
    return max(wide, 0.0) * max(high, 0.0)


def _plate(
    pen: ImageDraw.ImageDraw,
    at: Rectangle,
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    colour: Colour,
) -> None:
    light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140
    pen.rectangle(at, fill=colour)
    pen.text((at[0] + 3, at[1] + 2), text, font=font, fill="black" if light else "white")
