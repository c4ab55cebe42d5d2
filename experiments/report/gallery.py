"""The pictures of the report: boxes on query pins, heat of crops, control and treatment."""

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.arms import CONTROL, PRIMARY
from experiments.report.answer import Answer, Row, ask
from experiments.report.pictures import (
    LARGE,
    MEDIUM,
    SMALL,
    Photo,
    data_uri,
    heat,
    load_photo,
    with_boxes,
)
from experiments.wording import short
from features.images.images import UnreadableImage
from features.images.pin_images import PinImages
from sql.database import Database
from sql.tables import CATEGORIES

N_ASKED = 9
N_CROPPED = 6
N_CHANGED = 6
N_SHOWN = 6
MOST_BOXES = 12

_ASKED = """
    WITH asked AS (
        SELECT query_pin_id AS pin_id, COUNT(*) AS n_requests
        FROM requests WHERE date <= :date
        GROUP BY query_pin_id ORDER BY n_requests DESC, query_pin_id LIMIT :n
    )
    SELECT asked.pin_id, asked.n_requests, p.title, p.board, p.image, o.object_no,
           o.category, o.score, o.x1, o.y1, o.x2, o.y2, o.is_dominant
    FROM asked
    JOIN pins AS p ON p.pin_id = asked.pin_id
    LEFT JOIN pin_objects AS o
        ON o.pin_id = asked.pin_id AND o.feature_version = :version
    ORDER BY asked.n_requests DESC, asked.pin_id, o.object_no
"""
_CROPPED = """
    WITH cropped AS (
        SELECT pin_id, COUNT(DISTINCT user_id) AS n_croppers
        FROM crops WHERE date < :cutoff
        GROUP BY pin_id ORDER BY n_croppers DESC, pin_id LIMIT :n
    )
    SELECT c.pin_id, cropped.n_croppers, p.title, p.board, p.image,
           c.user_id, c.x1, c.y1, c.x2, c.y2
    FROM cropped
    JOIN crops AS c ON c.pin_id = cropped.pin_id AND c.date < :cutoff
    JOIN pins AS p ON p.pin_id = c.pin_id
    ORDER BY cropped.n_croppers DESC, c.pin_id, c.crop_id
"""
_INTEREST = """
    SELECT i.pin_id, o.category, SUM(i.interest) AS interest
    FROM object_interest AS i
    JOIN pin_objects AS o ON o.feature_version = i.feature_version
        AND o.pin_id = i.pin_id AND o.object_no = i.object_no
    WHERE i.feature_version = :version AND i.pin_id IN :pins
        AND i.date = (SELECT MAX(date) FROM object_interest
                      WHERE feature_version = :version AND date <= :cutoff)
    GROUP BY i.pin_id, o.category ORDER BY i.pin_id, interest DESC, o.category
"""
_CHANGED = """
    WITH kept AS (
        SELECT c.query_pin_id, COUNT(t.candidate_pin_id) AS n_kept
        FROM rankings AS c
        LEFT JOIN rankings AS t ON t.date = c.date AND t.arm = :treatment
            AND t.query_pin_id = c.query_pin_id
            AND t.candidate_pin_id = c.candidate_pin_id AND t.rank <= 10
        WHERE c.date = :date AND c.arm = :control AND c.rank <= 10
        GROUP BY c.query_pin_id HAVING COUNT(*) = 10
    ), asked AS (
        SELECT query_pin_id, COUNT(*) AS n_requests
        FROM requests WHERE date <= :date GROUP BY query_pin_id
    )
    SELECT kept.query_pin_id, kept.n_kept, COALESCE(asked.n_requests, 0) AS n_requests
    FROM kept LEFT JOIN asked ON asked.query_pin_id = kept.query_pin_id
    ORDER BY kept.n_kept, n_requests DESC, kept.query_pin_id LIMIT :n
"""
_ORDERS = """
    SELECT r.query_pin_id, r.arm, r.rank, r.candidate_pin_id, other.rank AS other_rank
    FROM rankings AS r
    LEFT JOIN rankings AS other ON other.date = r.date
        AND other.query_pin_id = r.query_pin_id
        AND other.candidate_pin_id = r.candidate_pin_id
        AND other.arm = CASE r.arm WHEN :control THEN :treatment ELSE :control END
    WHERE r.date = :date AND r.arm IN (:control, :treatment) AND r.rank <= :shown
        AND r.query_pin_id IN :pins
    ORDER BY r.query_pin_id, r.arm, r.rank
"""
_MATCHES = f"""
    SELECT query_pin_id, candidate_pin_id, {", ".join(f"{c}_cosine" for c in CATEGORIES)}
    FROM pair_features
    WHERE feature_version = :version
        AND query_pin_id IN :pins AND candidate_pin_id IN :candidates
"""
_PINS = """
    SELECT p.pin_id, p.title, p.board, p.image, o.object_no, o.category, o.score,
           o.x1, o.y1, o.x2, o.y2, o.is_dominant
    FROM pins AS p
    LEFT JOIN pin_objects AS o ON o.pin_id = p.pin_id AND o.feature_version = :version
    WHERE p.pin_id IN :pins
    ORDER BY p.pin_id, o.object_no
"""


@dataclass(frozen=True)
class Tile:
    """One picture with what is said under it; `uri` is empty where the photo cannot be read."""

    uri: str
    alt: str
    title: str
    notes: tuple[str, ...]
    mark: str = ""
    new: bool = False


@dataclass(frozen=True)
class Change:
    """A query pin, and the first candidates of control and treatment."""

    query: Tile
    n_kept: int
    control: tuple[Tile, ...]
    treatment: tuple[Tile, ...]


@dataclass(frozen=True)
class Gallery:
    """Tiles or changes, with the answers they come from."""

    items: tuple[Tile | Change, ...]
    answers: tuple[Answer, ...]


def asked_pins(database: Database, images: PinImages, date: dt.date, version: str) -> Gallery:
    """The most requested query pins with the boxes of their objects."""
    answer = ask(database, _ASKED, date=date, version=version, n=N_ASKED)
    tiles = [
        _boxes_tile(images, rows, LARGE, f"{rows[0]['n_requests']:,} requests")
        for rows in _by(answer.rows, "pin_id")
    ]
    return Gallery(tuple(tiles), (answer,))


def cropped_pins(database: Database, images: PinImages, cutoff: dt.date, version: str) -> Gallery:
    """The pins that most people cropped before `cutoff`, under the heat of their crops."""
    answer = ask(database, _CROPPED, cutoff=cutoff, n=N_CROPPED)
    pins = list(dict.fromkeys(row["pin_id"] for row in answer.rows))
    if not pins:
        return Gallery((), (answer,))
    interest = ask(database, _INTEREST, version=version, cutoff=cutoff, pins=pins)
    tiles = []
    for rows in _by(answer.rows, "pin_id"):
        pin = rows[0]
        photo = _photo(images, pin, LARGE)
        users = [str(row["user_id"]) for row in rows]
        uri = data_uri(heat(photo, _boxes(rows), users)) if photo else ""
        shares = [
            f"{row['category']} {row['interest']:.0%}"
            for row in interest.rows
            if row["pin_id"] == pin["pin_id"] and row["interest"] >= 0.005
        ]
        words = ", ".join(shares) or "no crop fell on a box"
        alt = f"Heat of crops on {short(pin['title']) or 'a pin'}: {words}."
        notes = (f"{pin['n_croppers']:,} people cropped it", f"Interest: {words}")
        tiles.append(Tile(uri, alt, short(pin["title"], 60), notes))
    return Gallery(tuple(tiles), (answer, interest))


def changed_queries(database: Database, images: PinImages, date: dt.date, version: str) -> Gallery:
    """The query pins that keep the fewest of the control's first ten, with both orders."""
    arms = {"control": CONTROL, "treatment": PRIMARY}
    changed = ask(database, _CHANGED, date=date, n=N_CHANGED, **arms)
    queries = [row["query_pin_id"] for row in changed.rows]
    if not queries:
        return Gallery((), (changed,))
    orders = ask(database, _ORDERS, date=date, shown=N_SHOWN, pins=queries, **arms)
    shown = sorted({row["candidate_pin_id"] for row in orders.rows})
    matches = ask(database, _MATCHES, version=version, pins=queries, candidates=shown)
    pins = ask(database, _PINS, version=version, pins=sorted({*shown, *queries}))
    objects = {rows[0]["pin_id"]: rows for rows in _by(pins.rows, "pin_id")}
    best = {(r["query_pin_id"], r["candidate_pin_id"]): best_match(r) for r in matches.rows}
    changes = []
    for row in changed.rows:
        query = row["query_pin_id"]
        if query not in objects:
            continue
        tiles = {
            arm: tuple(
                _candidate_tile(images, order, objects.get(order["candidate_pin_id"], []),
                                best.get((query, order["candidate_pin_id"])))
                for order in orders.rows if (order["query_pin_id"], order["arm"]) == (query, arm)
            )
            for arm in (CONTROL, PRIMARY)
        }  # fmt: skip
        tile = _boxes_tile(images, objects[query], MEDIUM, f"{row['n_requests']:,} requests")
        changes.append(Change(tile, row["n_kept"], tiles[CONTROL], tiles[PRIMARY]))
    return Gallery(tuple(changes), (changed, orders, matches, pins))


def best_match(pair: Row) -> tuple[str, float] | None:
    """The category that both pins hold whose objects are most alike, with their cosine.

    >>> best_match({"bag_cosine": 0.8, "shoes_cosine": 0.9, "hat_cosine": None})
    ('shoes', 0.9)
    >>> best_match({"bag_cosine": None}) is None
    True
    """
    known = [(c, pair[f"{c}_cosine"]) for c in CATEGORIES if pair.get(f"{c}_cosine") is not None]
    return max(known, key=lambda match: match[1], default=None)


def _boxes_tile(images: PinImages, rows: Sequence[Row], size: tuple[int, int], note: str) -> Tile:
    pin = rows[0]
    found = [row for row in rows if row["object_no"] is not None][:MOST_BOXES]
    photo = _photo(images, pin, size)
    labels, scores = [str(r["category"]) for r in found], [float(r["score"]) for r in found]
    dominant = next((n for n, row in enumerate(found) if row["is_dominant"]), None)
    uri = data_uri(with_boxes(photo, _boxes(found), labels, scores, dominant)) if photo else ""
    words = ", ".join(
        f"{short(label, 24)} {score:.0%}{' (dominant)' if n == dominant else ''}"
        for n, (label, score) in enumerate(zip(labels, scores, strict=True))
    )
    title = short(pin["title"], 60)
    notes = (note, words or "no object found")
    return Tile(uri, f"{title or 'Query pin'} with boxes: {words or 'none'}.", title, notes)


def _candidate_tile(
    images: PinImages, order: Row, rows: Sequence[Row], match: tuple[str, float] | None
) -> Tile:
    title = short(rows[0]["title"], 60) if rows else short(order["candidate_pin_id"], 60)
    photo = _photo(images, rows[0], SMALL) if rows else None
    matched = [row for row in rows if match and row["category"] == match[0]][:1]
    uri = ""
    if photo:
        plain = [""] * len(matched), [1.0] * len(matched)
        uri = data_uri(with_boxes(photo, _boxes(matched), *plain))
    other = order["other_rank"]
    arm = PRIMARY if order["arm"] == CONTROL else CONTROL
    place = f"{other} in {arm}" if other is not None else f"not in {arm}"
    seen = f"{match[0]} {match[1]:.2f}" if match else "no shared category"
    mark = str(order["rank"])
    return Tile(uri, f"{mark}: {title}", title, (seen, place), mark, other is None or other > 10)


def _photo(images: PinImages, pin: Row, within: tuple[int, int]) -> Photo | None:
    try:
        return load_photo(images.file(str(pin["image"])), within)
    except UnreadableImage:
        return None


def _by(rows: Iterable[Row], key: str) -> Iterator[list[Row]]:
    """The rows cut where the key changes."""
    for _, group in itertools.groupby(rows, key=lambda row: row[key]):
        yield list(group)


def _boxes(rows: Sequence[Row]) -> NDArray[np.float64]:
    """`(N, 4)` xyxy."""
    edges = [[float(row[edge]) for edge in ("x1", "y1", "x2", "y2")] for row in rows]
    return np.array(edges, dtype=np.float64).reshape(-1, 4)
