"""What the projection learns from: objects of all pins, and the pairs that people engaged with."""

import datetime as dt
from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.embedding.learning import Objects
from features.visuals.store import VisualStore
from features.visuals.visuals import PinVisual
from sql.database import Database

LEAST_SCORE = 0.6
LEAST_PAIRED = 2
_CO_ENGAGED = """
SELECT p.query_pin_id, p.candidate_pin_id
FROM (SELECT DISTINCT query_pin_id, candidate_pin_id, request_id FROM stg_impressions
      WHERE date < :before AND save = 1) AS p
GROUP BY 1, 2 HAVING COUNT(*) >= :least
"""


def objects_of(
    database: Database, store: VisualStore, before: dt.date, pins: Collection[str] | None = None
) -> Objects:
    """Every sure object of the store's pins, and pairs of them whose pins were saved together.

    pins: which to learn from, all where None.

    A pin with a single object lends it its board as family. Of a pair of pins that people saved
    from at least twice before the day, the two objects of one category that are most alike are
    taken. Raises ValueError where the store holds no object.
    """
    rows = database.read("SELECT pin_id, board FROM pins ORDER BY pin_id").to_pandas()
    boards = dict(zip(rows["pin_id"], pd.factorize(rows["board"])[0], strict=True))
    wanted = rows["pin_id"] if pins is None else rows["pin_id"][rows["pin_id"].isin(list(pins))]
    visuals = store.read(wanted.tolist())
    kept = {pin: np.flatnonzero(v.scores >= LEAST_SCORE) for pin, v in visuals.items()}
    first = dict(zip(kept, np.cumsum([0, *(len(k) for k in kept.values())]), strict=False))
    if not any(len(rows) for rows in kept.values()):
        raise ValueError("There is no object to learn from; run `related-pins features` first.")
    names = [visuals[pin].categories[row] for pin, rows in kept.items() for row in rows]
    families = [
        boards[pin] if len(visuals[pin].scores) == 1 else -1
        for pin, rows in kept.items()
        for _ in rows
    ]
    both = [
        np.concatenate([getattr(visuals[pin], view)[rows] for pin, rows in kept.items()])
        for view in ("crops", "padded")
    ]
    saved = database.read(_CO_ENGAGED, before=before, least=LEAST_PAIRED).to_pylist()
    pairs = [
        (first[q] + match[0], first[c] + match[1])
        for q, c in ((row["query_pin_id"], row["candidate_pin_id"]) for row in saved)
        if q in kept and c in kept
        if (match := _most_alike(visuals[q], kept[q], visuals[c], kept[c])) is not None
    ]
    return Objects(
        views=np.stack(both),
        categories=pd.factorize(np.array(names))[0],
        families=np.array(families, dtype=np.int64),
        colours=np.concatenate([visuals[pin].colours[rows] for pin, rows in kept.items()]),
        pairs=np.array(pairs, dtype=np.int64).reshape(-1, 2),
    )


def _most_alike(
    one: PinVisual, rows: NDArray[np.int64], two: PinVisual, others: NDArray[np.int64]
) -> tuple[int, int] | None:
    """Places within `rows` and `others` of the most alike objects of one category, if any."""
    same = np.array([[one.categories[r] == two.categories[o] for o in others] for r in rows])
    if not same.any():
        return None
    cosines = np.where(same, one.crops[rows] @ two.crops[others].T, -np.inf)
    place = np.unravel_index(cosines.argmax(), cosines.shape)
    return int(place[0]), int(place[1])
