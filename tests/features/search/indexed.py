"""Pins with random visuals in shards and in `pin_visuals`, to be indexed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from features.visuals.shards import write_shard
from features.visuals.store import as_rows
from features.visuals.visuals import PinVisual
from sql.database import Database
from sql.tables import pin_visuals
from tests.features.visuals.visuals_for_tests import random_visual

VERSION = "v1"
NAMES = ("bag", "shoe", "hat", "belt")


def visuals(contents: Sequence[str]) -> dict[str, PinVisual]:
    """A visual of 0 to 4 objects per content; the same content gives the same visual."""
    found = {}
    for content in contents:
        seed = int.from_bytes(content.encode()) % 2**32
        rng = np.random.default_rng(seed)
        names = tuple(rng.choice(NAMES, rng.integers(0, 5)).tolist())
        found[content] = random_visual(seed, names, content=content)
    return found


def publish(
    database: Database, home: Path, shards: Mapping[str, Mapping[str, str]], version: str = VERSION
) -> None:
    """Puts pins (shard name -> pin -> content) in place of all pins of the version."""
    rows = []
    for name, pins in shards.items():
        path = f"visuals/{version}/{name}.arrow"
        if not (home / path).exists():
            write_shard(home / path, list(visuals(sorted(set(pins.values()))).values()))
            database.mark_done("visuals", f"{version}/{name}", name, len(pins), path, version)
        for pin, content in pins.items():
            row = {"feature_version": version, "pin_id": pin, "content_hash": content,
                   "shard": path}  # fmt: skip
            rows.append(dict.fromkeys(pin_visuals.c.keys()) | row)
    database.replace(pin_visuals, as_rows(pin_visuals, rows), feature_version=version)
