"""Heat: where on a pin people cropped, as a picture."""

from pathlib import Path

import matplotlib
import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from PIL import Image as pil
from scipy.ndimage import gaussian_filter

from features.boxes import EDGES
from features.images.pin_images import PinImages
from features.picture import draw_objects
from features.weak.boxes import clipped, junk, votes_of
from sql.database import Database
from sql.tables import crops, weak_objects

OPAQUE = 0.75  # of the hottest place
BLUR = 0.006  # of the longer side


def heat(boxes: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    """How many of `(N, 4)` boxes each pixel lies in, `(height, width)`, as a share of the most;
    zeros for no boxes.

    >>> heat(np.array([[0.0, 0, 2, 1], [1, 0, 3, 1]]), 4, 1).tolist()
    [[0.5, 1.0, 0.5, 0.0]]
    """
    edges = np.zeros((height + 1, width + 1))
    x1, y1, x2, y2 = clipped(boxes, width, height).round().astype(np.int64).T
    for rows, columns, sign in ((y1, x1, 1), (y1, x2, -1), (y2, x1, -1), (y2, x2, 1)):
        np.add.at(edges, (rows, columns), sign)
    counts = edges.cumsum(axis=0).cumsum(axis=1)[:height, :width]
    return np.asarray(counts / max(counts.max(), 1))


def blend(photo: NDArray[np.uint8], shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A `(H, W, 3)` photo under translucent colours of shares `(H, W)`: nothing over 0, bright
    yellow over 1."""
    soft = gaussian_filter(shares, BLUR * max(shares.shape))
    colours = matplotlib.colormaps["inferno"](soft)[..., :3] * 255
    opacity = OPAQUE * np.sqrt(soft)[..., None]
    return np.asarray((1 - opacity) * photo + opacity * colours).round().astype(np.uint8)


def save_heat(database: Database, images: PinImages, pin: str, path: Path) -> tuple[int, int]:
    """Saves a pin's heat with its weak objects as PNG; returns (users who cropped it, objects).

    Every user has one vote per place. Raises ValueError for a pin that is not known or that nobody
    has cropped.
    """
    rows = database.read(sa.select(crops).where(crops.c.pin_id == pin)).to_pandas()
    if not len(rows):
        raise ValueError(f"Nobody has cropped a pin {pin}; pins that are cropped: table `crops`.")
    image = images.of(database, pin)
    rows = rows[junk(rows[EDGES].to_numpy(dtype=float), image.width, image.height) < 0]
    users, boxes = votes_of(rows["user_id"].to_numpy(dtype=object), rows[EDGES].to_numpy())
    photo = pil.fromarray(blend(image.pixels, heat(boxes, image.width, image.height)))
    query = sa.select(weak_objects).where(weak_objects.c.pin_id == pin).order_by("object_no")
    found = database.read(query).to_pandas()
    labels = found["category"].fillna("object").tolist()
    edges = found[EDGES].to_numpy(dtype=np.float64)
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_objects(photo, edges, labels, found["label_confidence"].tolist()).save(path)
    return len(set(users)), len(found)
