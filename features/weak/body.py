"""Where on the body things are worn, how large they are and how many: what that says of boxes.

Shares of a standing body's height from the crown: chin 0.13, shoulders 0.18, elbow 0.37, hip 0.47,
wrist 0.52, knee 0.72, ankle 0.96 (segments of the body by Drillis & Contini 1966, in Winter,
Biomechanics and Motor Control of Human Movement, figure 4.1). The heights and sizes below were set
from them, and with an eye on half of the street photos.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.boxes import EDGES
from features.weak.annotations import parts

Floats = NDArray[np.float64]

# heights between which the upper edge of a thing is, and those between which its lower edge is
WORN_AT: Mapping[str, tuple[float, float, float, float]] = {
    "hat": (0.00, 0.03, 0.05, 0.15),
    "sunglasses": (0.03, 0.07, 0.06, 0.10),
    "scarf": (0.10, 0.15, 0.20, 0.45),
    "tie": (0.13, 0.20, 0.25, 0.48),
    "top": (0.10, 0.20, 0.35, 0.55),
    "outerwear": (0.08, 0.20, 0.40, 0.72),
    "dress": (0.10, 0.25, 0.55, 0.98),
    "belt": (0.33, 0.42, 0.38, 0.50),
    "pants": (0.33, 0.50, 0.85, 0.98),
    "shorts": (0.33, 0.47, 0.50, 0.68),
    "skirt": (0.33, 0.47, 0.55, 0.95),
    "shoes": (0.80, 0.93, 0.95, 1.00),
    "watch": (0.33, 0.50, 0.40, 0.53),
}
# least and most width of a thing, and least and most height
SIZE: Mapping[str, tuple[float, float, float, float]] = {
    "bag": (0.05, 0.40, 0.08, 0.50),
    "belt": (0.06, 0.20, 0.015, 0.07),
    "scarf": (0.08, 0.25, 0.12, 0.60),
    "sunglasses": (0.04, 0.10, 0.02, 0.06),
    "tie": (0.02, 0.07, 0.10, 0.35),
    "watch": (0.02, 0.05, 0.02, 0.05),
}
SLACK = 0.07  # standard deviation of an edge outside its heights
SIZE_SLACK = 0.2  # standard deviation of the logarithm of a side outside its size
LEAST = 0.01  # fit of what is nowhere near
WORN_ONCE = frozenset(WORN_AT) - {"shoes", "watch"}
SECOND = 0.1  # how likely a second thing of a category worn once is, beside other things
USUAL = 0.25  # quantile of the pins' edges up to which a body is taken to reach


def on_body(boxes: pd.DataFrame) -> Floats:
    """Upper edge, lower edge, width and height `(N, 4)` of N boxes in shares of the wearer's
    height, edges from 0 at the crown.

    boxes: columns pin_id, x1, y1, x2, y2 and height (of the image). A wearer reaches as far as the
    boxes of the pin; and, as not everything worn is boxed in every pin, at least from where the
    lower quartile of all pins begins to where the upper quartile ends, in shares of the image.
    """
    edges = boxes[EDGES].div(boxes["height"], axis=0)
    wearers = edges.groupby(boxes["pin_id"]).agg({"y1": "min", "y2": "max"})
    usual = wearers["y1"].quantile(USUAL), wearers["y2"].quantile(1 - USUAL)
    crown, sole = wearers.reindex(boxes["pin_id"]).to_numpy(dtype=np.float64).T
    crown, sole = np.minimum(crown, usual[0]), np.maximum(sole, usual[1])
    x1, y1, x2, y2 = edges.to_numpy(dtype=np.float64).T
    shares = np.stack([y1 - crown, y2 - crown, x2 - x1, y2 - y1], axis=1)
    return np.asarray(shares / np.maximum(sole - crown, 1e-6)[:, None])


def fits(worn: Floats, categories: Sequence[str]) -> Floats:
    """How well each of C categories fits each of N boxes, `(N, C)`, 0.01 to 1.01: its place where
    it is worn at one of its own, as a bag is not, and its size where that is its own.

    worn: `(N, 4)` from `on_body`.

    >>> waist = np.array([[0.40, 0.44, 0.15, 0.04], [0.38, 0.58, 0.15, 0.2]])
    >>> fits(waist, ("bag", "belt", "pants", "shoes")).round(2).tolist()
    [[0.01, 1.01, 0.01, 0.01], [1.01, 0.01, 0.01, 0.01]]
    """
    edges, size = worn[:, :2], np.log(np.maximum(worn[:, 2:], 1e-6))
    fit = np.ones((len(worn), len(categories)))
    for column, category in enumerate(categories):
        if category in WORN_AT:
            fit[:, column] *= _within(edges, np.array(WORN_AT[category]), SLACK)
        if category in SIZE:
            fit[:, column] *= _within(size, np.log(SIZE[category]), SIZE_SLACK)
    return fit + LEAST


def _within(values: Floats, bounds: Floats, slack: float) -> Floats:
    """How well `(N, 2)` values keep to the bounds (least and most of one, then of the other)."""
    least, most = bounds.reshape(2, 2).T
    outside = np.maximum(np.maximum(least - values, values - most), 0)
    return np.asarray(np.exp(-0.5 * np.square(outside / slack).sum(axis=1)))


def one_of_each(shares: Floats, pins: NDArray[np.int64], categories: Sequence[str]) -> Floats:
    """Shares `(N, C)`, rows summing to 1, less likely to name what another box of the photo is: who
    wears a jacket hardly wears a second one.

    pins: `(N,)` code of each box's photo. A step of mean field (Wainwright & Jordan 2008, section
    5): each share is multiplied by the expectation, over what the photo's other boxes are, of
    SECOND where one of them is the same and of 1 where it is not.

    >>> one_of_each(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 0]), ("top", "scarf")).round(2)
    array([[0.87, 0.13],
           [0.24, 0.76]])
    """
    once = np.array([category in WORN_ONCE for category in categories], dtype=bool)
    alone = np.log1p(-(1 - SECOND) * shares * once)
    together = np.zeros((pins.max(initial=-1) + 1, shares.shape[1]))
    np.add.at(together, pins, alone)
    return parts(shares * np.exp(together[pins] - alone))
