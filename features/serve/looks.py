"""What was found, laid out for the page: where the dots are, and what is seen in each picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from features.search.results import Box, Match, ObjectResults
from features.serve.pins import Pin

ASPECT = 3 / 4  # of a picture in the grid, width over height
ROOM = 1.05  # least size of a window, times that of its box
APART = 0.09  # least distance of two dots, share of the longer side
WHOLE = "whole"


@dataclass(frozen=True)
class Card:
    """A pin in the grid. window: (x, y, width, height) of what is shown of its image."""

    pin_id: str
    title: str
    href: str
    picture: str
    width: int
    height: int
    window: tuple[float, ...]
    box: Box | None
    note: str


@dataclass(frozen=True)
class Look:
    """A starting point and what is like it. key: number of the object, or `whole`, or `crop`.
    name: its category. box, dot: in pixels of the image; None for the whole image.
    """

    key: str
    name: str
    box: Box | None
    dot: tuple[float, float] | None
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Looks:
    """The starting points of an image of width x height pixels; `selected` is the key of the one
    that is shown first.
    """

    width: int
    height: int
    looks: tuple[Look, ...]
    selected: str


def laid_out(
    size: tuple[int, int],
    objects: Mapping[str, ObjectResults],
    whole: Sequence[Match],
    pins: Mapping[str, Pin],
    selected: str = "",
) -> Looks:
    """The offered objects, by key, and the whole image, with a card for each match whose pin is
    known. Selected is the key that is asked for or else the first.
    """
    offered = {key: one for key, one in objects.items() if one.offered and one.matches}
    dots = dict(zip(offered, dots_of([o.box for o in offered.values()], size), strict=True))
    names = numbered([one.category or "crop" for one in offered.values()])
    looks = [
        Look(key, name, one.box, dots[key], cards_of(one.matches, pins))
        for (key, one), name in zip(offered.items(), names, strict=True)
    ]
    if whole:
        looks.append(Look(WHOLE, "whole image", None, None, cards_of(whole, pins)))
    keys = [look.key for look in looks]
    first = selected if selected in keys else (keys[0] if keys else "")
    return Looks(*size, tuple(looks), first)


def cards_of(matches: Sequence[Match], pins: Mapping[str, Pin]) -> tuple[Card, ...]:
    """A card for each match whose pin is known, with its object outlined."""
    found = [(match, pins[match.pin_id]) for match in matches if match.pin_id in pins]
    return tuple(card_of(pin, match.box, _closeness(match.cosine)) for match, pin in found)


def numbered(names: Sequence[str]) -> list[str]:
    """The names, told apart.

    >>> numbered(["bag", "hat", "bag"])
    ['bag', 'hat', 'bag 2']
    """
    before = [names[:place].count(name) for place, name in enumerate(names)]
    return [f"{name} {n + 1}" if n else name for name, n in zip(names, before, strict=True)]


def card_of(pin: Pin, box: Box | None = None, note: str = "", href: str = "") -> Card:
    width, height = pin.width or 3, pin.height or 4
    return Card(
        pin_id=pin.pin_id,
        title=pin.title,
        href=href or pin_href(pin.pin_id),
        picture=picture_href(pin.pin_id, 480),
        width=width,
        height=height,
        window=window(width, height, box),
        box=box,
        note=note,
    )


def pin_href(pin_id: str, rest: str = "") -> str:
    """The address of a pin's page.

    >>> pin_href("a/b", "/related")
    '/pins/a%2Fb/related'
    """
    return f"/pins/{quote(pin_id, safe='')}{rest}"


def picture_href(pin_id: str, size: int) -> str:
    return pin_href(pin_id, f"/image?size={size}")


def window(width: float, height: float, box: Box | None = None) -> tuple[float, ...]:
    """(x, y, width, height) of what a picture of the grid shows: as much as fills it, about the
    box; more where the box would not fit.

    >>> window(800, 600)
    (175.0, 0.0, 450.0, 600.0)
    >>> window(800, 600, (0, 0, 100, 100))
    (0.0, 0.0, 450.0, 600.0)
    >>> window(800, 600, (100, 200, 700, 400))
    (85.0, -120.0, 630.0, 840.0)
    """
    x1, y1, x2, y2 = box or (width / 2, height / 2) * 2
    fits = min(width, height * ASPECT)
    wide = max(fits, ROOM * (x2 - x1), ROOM * (y2 - y1) * ASPECT)
    high = wide / ASPECT
    left, top = _placed((x1 + x2) / 2, wide, width), _placed((y1 + y2) / 2, high, height)
    return round(left, 1), round(top, 1), round(wide, 1), round(high, 1)


def _placed(middle: float, size: float, most: float) -> float:
    """Where a stretch about the middle begins, kept inside of 0 to most where it fits."""
    if size >= most:
        return (most - size) / 2
    return min(max(middle - size / 2, 0.0), most - size)


def dots_of(boxes: Sequence[Box], size: tuple[int, int]) -> list[tuple[float, float]]:
    """A point in each box for its dot, each apart from the earlier ones where that is possible.

    >>> dots_of([(0, 0, 100, 100), (0, 0, 100, 100)], (100, 100))
    [(50.0, 50.0), (50.0, 25.0)]
    """
    least, placed = APART * max(size), list[tuple[float, float]]()
    for box in boxes:
        points = [_at(box, *share) for share in _SHARES]
        free = [p for p in points if all(_distance(p, q) >= least for q in placed)]
        placed.append((free or points)[0])
    return placed


_SHARES = ((0.5, 0.5), (0.5, 0.25), (0.5, 0.75), (0.25, 0.5), (0.75, 0.5), (0.2, 0.2), (0.8, 0.8))


def _at(box: Box, across: float, down: float) -> tuple[float, float]:
    x1, y1, x2, y2 = box
    return round(x1 + across * (x2 - x1), 1), round(y1 + down * (y2 - y1), 1)


def _distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    return max(abs(one[0] - other[0]), abs(one[1] - other[1]))


def _closeness(cosine: float) -> str:
    return f"{cosine:.2f}"
