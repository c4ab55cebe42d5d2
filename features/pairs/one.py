"""One pair of pins, looked at closely: every feature, and a picture of both with their boxes."""

from pathlib import Path

import numpy as np
import sqlalchemy as sa
from PIL import Image as pil

from features.boxes import EDGES
from features.images.pin_images import PinImages
from features.picture import draw_objects
from sql.database import Database
from sql.tables import pair_features, pair_interest, pin_objects

HEIGHT = 640
GAP = 16


def pair_row(
    database: Database, feature_version: str, query: str, candidate: str
) -> dict[str, float | None]:
    """Columns of pair_features and, for the newest date, pair_interest of a pair.

    Raises ValueError where the pair has no features.
    """
    found: dict[str, float | None] = {}
    for table in (pair_features, pair_interest):
        rows = sa.select(table).where(
            table.c.feature_version == feature_version,
            table.c.query_pin_id == query,
            table.c.candidate_pin_id == candidate,
        )
        newest = rows.order_by(table.c.date.desc()) if "date" in table.c else rows
        for row in database.read(newest.limit(1)).to_pylist():
            found |= row
    if not found:
        raise ValueError(
            f"The pair {query}, {candidate} has no features; pairs that do are in the table "
            "`candidates`, for pins with a readable image."
        )
    return found


def save_picture(
    database: Database,
    feature_version: str,
    images: PinImages,
    pin_ids: tuple[str, ...],
    path: Path,
) -> None:
    """Saves the pins side by side as PNG, each with its boxes; the dominant object is marked."""
    pictures = [_with_objects(database, feature_version, images, pin) for pin in pin_ids]
    pictures = [p.resize((round(p.width * HEIGHT / p.height), HEIGHT)) for p in pictures]
    width = sum(p.width for p in pictures) + GAP * (len(pictures) - 1)
    sheet, left = pil.new("RGB", (width, HEIGHT), "white"), 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + GAP
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _with_objects(database: Database, version: str, images: PinImages, pin: str) -> pil.Image:
    rows = database.read(
        sa.select(pin_objects)
        .where(pin_objects.c.feature_version == version, pin_objects.c.pin_id == pin)
        .order_by("object_no")
    ).to_pandas()
    marked = np.flatnonzero(rows["is_dominant"])
    return draw_objects(
        pil.fromarray(images.of(database, pin).pixels),
        rows[EDGES].to_numpy(dtype=np.float32),
        rows["category"].tolist(),
        rows["score"].tolist(),
        int(marked[0]) if len(marked) else None,
    )
