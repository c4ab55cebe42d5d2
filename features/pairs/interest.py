"""Interest of objects: how much of a pin's cropping fell on each of its boxes."""

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.boxes import iou

MIN_IOU = 0.3
TRUST = 5.0


@dataclass(frozen=True, eq=False)
class Interest:
    """Interest in the objects of P pins with room for K objects each.

    share: `(P, K)` float32, share of the pin's cropping that fell on each object; what fell on none
    is missing from the row's sum, so that a row sums to at most 1. croppers: `(P, K)` users whose
    crops of the pin fell on the object more than on any other. n_croppers: `(P,)` users who cropped
    the pin at all.
    """

    share: NDArray[np.float32]
    croppers: NDArray[np.int64]
    n_croppers: NDArray[np.int64]


def match_crops(
    crops: NDArray[np.float64], pin: NDArray[np.int64], boxes: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Number `(C,)` of the object that each crop fell on, -1 for none.

    crops: `(C, 4)` xyxy. pin: `(C,)` rows of boxes. boxes: `(P, K, 4)`, zeros where there is no
    object. A crop falls on the object it overlaps most, if by an IoU of at least 0.3.
    """
    if not len(crops):
        return np.zeros(0, dtype=np.int64)
    overlap = iou(crops[:, None, :], boxes[pin])
    best = overlap.argmax(axis=1)
    return np.where(overlap[np.arange(len(crops)), best] >= MIN_IOU, best, -1)


def interest(
    users: NDArray[np.object_],
    pin: NDArray[np.int64],
    matched: NDArray[np.int64],
    shape: tuple[int, int],
) -> Interest:
    """Interest from C crops: who cropped `(C,)`, which pin `(C,)`, which object `(C,)` or -1.

    Every user who cropped a pin has one vote on it, split over that user's crops of the pin, so
    that one busy user cannot decide; of objects that a user cropped equally often, the first counts
    that user as a cropper. `shape` is (P, K).
    """
    share, croppers = np.zeros(shape), np.zeros(shape, dtype=np.int64)
    if not len(pin):
        return Interest(share.astype(np.float32), croppers, np.zeros(shape[0], dtype=np.int64))
    crops = pd.DataFrame({"user": users, "pin": pin, "object": matched})
    votes = crops.groupby(["pin", "user", "object"]).size().rename("n").reset_index()
    votes["vote"] = votes["n"] / votes.groupby(["pin", "user"])["n"].transform("sum")
    by_pin = votes.drop_duplicates(["pin", "user"])["pin"].to_numpy()
    n_croppers = np.bincount(by_pin, minlength=shape[0])
    favourite = votes.sort_values("vote", ascending=False, kind="stable").drop_duplicates(
        ["pin", "user"]
    )
    votes, favourite = votes[votes["object"] >= 0], favourite[favourite["object"] >= 0]
    np.add.at(share, (votes["pin"], votes["object"]), votes["vote"] / n_croppers[votes["pin"]])
    np.add.at(croppers, (favourite["pin"], favourite["object"]), 1)
    return Interest(share.astype(np.float32), croppers, n_croppers)


def interest_before(
    crops: pd.DataFrame, matched: NDArray[np.int64], day: dt.date, shape: tuple[int, int]
) -> Interest:
    """Interest from the crops made before a UTC day: `crops` has columns date, user_id, pin."""
    before = (crops["date"] < day).to_numpy()
    rows = crops[before]
    return interest(rows["user_id"].to_numpy(), rows["pin"].to_numpy(), matched[before], shape)


def usual_interest(shares: pd.DataFrame) -> dict[str, float]:
    """Mean share of a pin's cropping by category, from one row (category, share) per object of
    cropped pins; a category with few objects is drawn towards the mean of all (one object's worth).

    >>> rows = pd.DataFrame({"category": ["bag", "bag", "belt"], "share": [0.6, 0.6, 0.0]})
    >>> {name: round(share, 2) for name, share in usual_interest(rows).items()}
    {'bag': 0.53, 'belt': 0.2}
    """
    by_category = shares.groupby("category", observed=True)["share"].agg(["sum", "size"])
    smoothed = (by_category["sum"] + shares["share"].mean()) / (by_category["size"] + 1)
    return {str(name): float(share) for name, share in smoothed.items()}


def expected_interest(
    share: NDArray[np.float32], n_croppers: NDArray[np.int64], usual: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Interest `(..., K)` float32 to be expected in each object; a pin's objects sum to 1, or to 0
    where it has none.

    share: `(..., K)` what crops of the pin say, as in Interest. n_croppers: `(...)`. usual:
    `(..., K)` interest that objects of its category usually have, 0 where there is no object. A
    pin's own crops weigh as many as its croppers, the usual interest like TRUST of them (the
    posterior mean under a Dirichlet prior).

    >>> usual = np.array([0.3, 0.1, 0.0])
    >>> expected_interest(np.zeros(3), np.array(0), usual).round(2).tolist()
    [0.75, 0.25, 0.0]
    >>> expected_interest(np.array([0.0, 1, 0]), np.array(5), usual).round(3).tolist()
    [0.375, 0.625, 0.0]
    """
    prior = _normalised(usual)
    return _normalised(n_croppers[..., None] * share + TRUST * prior).astype(np.float32)


def _normalised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    total = values.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(values, total, out=np.zeros(values.shape), where=total > 0))
