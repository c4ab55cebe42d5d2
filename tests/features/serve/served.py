"""A home with a few drawn pins, their index and the rankings of three arms, and its server."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image as pil

from features.daily import refresh_pairs
from features.detector.detector import Detections
from features.images.images import Image
from features.search.build import build_index
from features.serve.service import Service, make_service
from features.visuals.store import VisualStore
from features.visuals.visuals import VisualExtractor, VisualSettings
from sql.database import Database, open_database
from sql.tables import METADATA
from tests.quick_visuals import Halves, Thumbnails

DATE = dt.date(2026, 11, 15)
ARMS = ("presence", "targeted", "whole_image")
SIZE = (240, 330)
FAMILIES, MEMBERS = 3, 14
HOSTS = ("testserver", "127.0.0.1")


class Thirds(Halves):
    """Finds a bag in the upper third of every image and a shoe in the lower one."""

    version = "thirds"

    def _halves(self, image: Image) -> Detections:
        third, width, height = image.height // 3, image.width, image.height
        boxes = [[0, 0, width, third], [0, height - third, width, height]]
        scores = np.array([0.95, 0.94], dtype=np.float32)
        found = np.array(boxes, dtype=np.float32)
        return Detections(found, scores, ("bag", "shoe"), width, height)


def extractor() -> VisualExtractor:
    return VisualExtractor(Thirds(), Thumbnails(), VisualSettings(pooling="crop"))


@dataclass(frozen=True)
class Served:
    """pins: pin -> image file, in the source folder."""

    database: Database
    home: Path
    source: Path
    pins: dict[str, Path]

    def service(self, **changes: object) -> Service:
        made = make_service(self.database, self.home, self.source, extractor(), hosts=HOSTS)
        return replace(made, **changes)  # type: ignore[arg-type]


def drawn(family: int, member: int) -> pil.Image:
    """A family shares its upper and its lower third but for some noise; what is between is each
    pin's own, so that objects are alike and no whole image is a copy.
    """
    rng, own = np.random.default_rng(family), np.random.default_rng([family, member])
    tiles = rng.integers(0, 220, (9, 6, 3)) + own.integers(0, 15, (9, 6, 3))
    tiles[3:6] = own.integers(0, 250, (3, 6, 3))
    return pil.fromarray(tiles.astype(np.uint8)).resize(SIZE, pil.Resampling.NEAREST)


def make_served(root: Path) -> Served:
    source, home = root / "source", root / "home"
    (source / "photos").mkdir(parents=True)
    pins = {f"f{family}-{n}": source / "photos" / f"f{family}-{n}.png"
            for family in range(FAMILIES) for n in range(MEMBERS)}  # fmt: skip
    for pin_id, path in pins.items():
        drawn(*map(int, pin_id[1:].split("-"))).save(path)
    database = open_database(home / "related_pins.db")
    database.upgrade()
    served = Served(database, home, source, pins)
    _fill(served, extractor().feature_version)
    return served


def _fill(served: Served, version: str) -> None:
    database, pins = served.database, served.pins
    rows = [
        {"pin_id": pin, "image": f"photos/{path.name}", "title": f"Family {pin[1]} <{pin}>",
         "board": "drawn", "created_at": dt.datetime(2026, 11, 1)}
        for pin, path in pins.items()
    ]  # fmt: skip
    _add(database, "pins", rows)
    queries = [pin for pin in pins if pin.endswith("-0")]
    pairs = [(query, pin) for query in queries for pin in pins if pin != query]
    _add(database, "candidates", [_pair(*pair) | {"source": "board"} for pair in pairs])
    VisualStore(database, served.home, version).refresh(pins, extractor().extract)
    refresh_pairs(database, served.home, version, [DATE])
    database.mark_done("feature_version", "detected", version, 0, feature_version=version)
    for arm, key in _ORDERS.items():
        for query in queries:
            order = sorted((pin for pin in pins if pin != query), key=lambda pin: key(query, pin))
            ranked = [_pair(query, pin) | {"date": DATE, "arm": arm, "rank": n + 1, "score": -n}
                      for n, pin in enumerate(order)]  # fmt: skip
            _add(database, "rankings", ranked)
    _add(database, "models", [{"date": DATE, "arm": arm} for arm in ARMS])
    build_index(database, served.home, version)


_ORDERS: dict[str, Callable[[str, str], object]] = {
    "whole_image": lambda query, pin: pin,
    "targeted": lambda query, pin: (pin[1] != query[1], pin),
    "presence": lambda query, pin: pin[::-1],
}


def _pair(query: str, candidate: str) -> dict[str, object]:
    return {"query_pin_id": query, "candidate_pin_id": candidate}


def _add(database: Database, table: str, rows: list[dict[str, object]]) -> None:
    database.append(METADATA.tables[table], pa.Table.from_pylist(rows))
