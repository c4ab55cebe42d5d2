"""Pins as the page shows them, read from SQL."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from features.search.results import Box
from sql.database import Database
from sql.tables import pin_objects, pin_visuals, pins, requests

PAGE = 48


class NoPin(LookupError):
    """A pin that is not there (any more); its text is a sentence."""


@dataclass(frozen=True)
class Pin:
    """A pin. width, height: of its image, pixels; None where the image was never described."""

    pin_id: str
    title: str
    board: str
    width: int | None
    height: int | None
    category: str | None


@dataclass(frozen=True)
class PinObject:
    """An object of a pin; box: xyxy, pixels of the original."""

    object_no: int
    category: str
    score: float
    box: Box
    area_share: float
    is_dominant: bool


def pins_by_id(database: Database, version: str, pin_ids: Iterable[str]) -> dict[str, Pin]:
    """The pins of these ids that are there."""
    wanted = sorted(set(filter(plain, pin_ids)))
    if not wanted:
        return {}
    rows = database.read(_pins(version).where(pins.c.pin_id.in_(wanted))).to_pylist()
    return {row["pin_id"]: _pin(row) for row in rows}


def one_pin(database: Database, version: str, pin_id: str) -> Pin:
    """The pin. Raises NoPin where there is none: unknown, or erased."""
    found = pins_by_id(database, version, [pin_id])
    if pin_id not in found:
        raise no_pin(pin_id)
    return found[pin_id]


def no_pin(pin_id: str) -> NoPin:
    return NoPin(f"There is no pin {pin_id[:80]!a}: its name is wrong, or it was erased.")


def image_of(database: Database, pin_id: str) -> str:
    """The pin's image: a path in the source folder, or a URI. Raises NoPin where there is none."""
    query = sa.select(pins.c.image).where(pins.c.pin_id == pin_id)
    rows = database.read(query)["image"].to_pylist() if plain(pin_id) else []
    if not rows:
        raise no_pin(pin_id)
    return str(rows[0] or "")


def objects_of(
    database: Database, version: str, pin_ids: Sequence[str]
) -> dict[str, list[PinObject]]:
    """The objects of pins, by number; pins without any are left out."""
    query = (
        sa.select(pin_objects)
        .where(pin_objects.c.feature_version == version, pin_objects.c.pin_id.in_(pin_ids))
        .order_by(pin_objects.c.pin_id, pin_objects.c.object_no)
    )
    found: dict[str, list[PinObject]] = {}
    for row in database.read(query).to_pylist() if pin_ids else ():
        box = (row["x1"], row["y1"], row["x2"], row["y2"])
        one = PinObject(
            row["object_no"], row["category"], row["score"], box, row["area_share"],
            bool(row["is_dominant"]),
        )  # fmt: skip
        found.setdefault(row["pin_id"], []).append(one)
    return found


@dataclass(frozen=True)
class Shelf:
    """A page of pins; `more`: whether there is another."""

    pins: tuple[Pin, ...]
    more: bool


def shelf(database: Database, version: str, words: str, category: str, page: int) -> Shelf:
    """The page-th PAGE pins (from 1), the most asked for first: those whose title, board or id
    holds all the words, and whose dominant object has the category, where these are given.
    """
    asked = (
        sa.select(requests.c.query_pin_id, sa.func.count().label("n"))
        .group_by(requests.c.query_pin_id)
        .subquery()
    )
    query = _pins(version).outerjoin(asked, asked.c.query_pin_id == pins.c.pin_id)
    for word in filter(plain, words.split()[:8]):
        texts = (pins.c.title, pins.c.board, pins.c.pin_id)
        query = query.where(sa.or_(*(text.icontains(word, autoescape=True) for text in texts)))
    if category and plain(category):
        query = query.where(pin_visuals.c.dominant_category == category)
    order = (sa.func.coalesce(asked.c.n, 0).desc(), pins.c.pin_id)
    query = query.order_by(*order).limit(PAGE + 1).offset(PAGE * (page - 1))
    rows = database.read(query).to_pylist()
    return Shelf(tuple(map(_pin, rows[:PAGE])), len(rows) > PAGE)


def categories(database: Database, version: str) -> list[str]:
    """Categories of dominant objects, the commonest first."""
    n = sa.func.count().label("n")
    query = (
        sa.select(pin_visuals.c.dominant_category, n)
        .where(
            pin_visuals.c.feature_version == version, pin_visuals.c.dominant_category.is_not(None)
        )
        .group_by(pin_visuals.c.dominant_category)
        .order_by(n.desc(), pin_visuals.c.dominant_category)
    )
    return [str(name) for name in database.read(query)["dominant_category"].to_pylist()]


def plain(text: str) -> bool:
    """Whether a text can stand in a query: databases end a text at a zero byte, and refuse halves
    of surrogate pairs.

    >>> plain("p1"), plain("p1\\0"), plain("\\ud800")
    (True, False, False)
    """
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _pins(version: str) -> sa.Select[tuple[object, ...]]:
    visuals = sa.and_(
        pin_visuals.c.pin_id == pins.c.pin_id, pin_visuals.c.feature_version == version
    )
    return (
        sa.select(
            pins.c.pin_id, pins.c.title, pins.c.board,
            pin_visuals.c.width, pin_visuals.c.height, pin_visuals.c.dominant_category,
        )
        .select_from(pins)
        .outerjoin(pin_visuals, visuals)
    )  # fmt: skip


def _pin(row: dict[str, object]) -> Pin:
    return Pin(
        pin_id=str(row["pin_id"]),
        title=str(row["title"] or row["pin_id"]),
        board=str(row["board"] or ""),
        width=row["width"],  # type: ignore[arg-type]
        height=row["height"],  # type: ignore[arg-type]
        category=row["dominant_category"],  # type: ignore[arg-type]
    )
