"""Pins with random visuals, candidate pairs and crops, as the daily job has them before pairs."""

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa

from features.daily import refresh_pairs
from features.pairs.store import PairSummary
from features.visuals.store import VisualStore
from features.visuals.visuals import PinVisual
from sql.arrow import arrow_type
from sql.database import Database
from sql.tables import candidates, crops
from tests.features.visuals.visuals_for_tests import random_visual

VERSION = "v1"
DAYS = [dt.date(2026, 11, day) for day in (2, 3, 4)]
KINDS = (
    (),
    ("bag",),
    ("bag", "shoes"),
    ("dress", "shoes", "hat", "belt", "bag", "top", "tie"),
    ("shoes",) * 9,
)


@dataclass
class World:
    """pins: the seed of each pin's visual. crops: user, pin, object, date."""

    database: Database
    home: Path
    version: str = VERSION
    pins: dict[str, int] = field(default_factory=dict)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    crops: set[tuple[str, str, int, dt.date]] = field(default_factory=set)

    def refresh(self, days: list[dt.date] = DAYS) -> PairSummary:
        """The daily job's pair step on what is in the world."""
        self.write()
        return refresh_pairs(self.database, self.home, self.version, days)

    def write(self) -> None:
        store = VisualStore(self.database, self.home, self.version)
        visuals = {pin: visual(seed) for pin, seed in self.pins.items()}
        store.put(visuals)
        store.drop(sorted(store._places().keys() - visuals.keys()))
        pairs = pd.DataFrame(sorted(self.pairs), columns=["query_pin_id", "candidate_pin_id"])
        self.database.replace(candidates, pa.Table.from_pandas(pairs, preserve_index=False))
        rows = [self._crop(*crop) for crop in sorted(self.crops) if crop[1] in self.pins]
        schema = pa.schema({c.name: arrow_type(c) for c in crops.columns})
        self.database.replace(crops, pa.Table.from_pylist(rows, schema=schema))

    def rows(self) -> dict[str, list[dict[str, object]]]:
        """All that the pair step is to leave: rows by table, bit by bit."""
        interest = "SELECT * FROM pair_interest ORDER BY date, query_pin_id, candidate_pin_id"
        features = "SELECT * FROM pair_features ORDER BY query_pin_id, candidate_pin_id"
        done = (
            "SELECT step, piece, fingerprint, n_rows FROM manifest "
            "WHERE step IN ('pair_features', 'pair_interest', 'pair_shard') ORDER BY step, piece"
        )
        return {
            query: self.database.read(query).to_pylist() for query in (interest, features, done)
        }

    def _crop(self, user: str, pin: str, number: int, day: dt.date) -> dict[str, object]:
        boxes = visual(self.pins[pin]).boxes
        box = boxes[number % len(boxes)].tolist() if len(boxes) else [0.0, 0.0, 9.0, 9.0]
        edges = dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))
        return {"crop_id": f"{user} {pin} {number} {day}", "user_id": user, "pin_id": pin,
                "date": day, **edges}  # fmt: skip


def filled(database: Database, home: Path, version: str = VERSION) -> World:
    """Twelve pins, six of them with five candidates each, cropped on the first two days."""
    world = World(database, home, version, pins={f"p{n:02d}": n for n in range(12)})
    world.pairs = {(f"p{q:02d}", f"p{(q + k) % 12:02d}") for q in range(6) for k in range(1, 6)}
    world.crops = {("u1", "p01", 0, DAYS[0]), ("u2", "p03", 1, DAYS[1])}
    return world


def visual(seed: int) -> PinVisual:
    """The visual of an image, which the seed stands for."""
    content = hashlib.sha256(str(seed).encode()).hexdigest()
    return random_visual(seed, KINDS[seed % len(KINDS)], content=content)
