"""Agreement: how likely the matches of an object are things of its kind, and what is offered."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from features.search.results import Match

FIRST = 10  # matches that are looked at
WEIGHTS, BIAS = (0.0, 11.01), -8.15  # fitted on boxes_train.json (docs/decisions/search.md)
OFFERED = 0.5  # agreement from which an object is shown as a starting point
Floats = NDArray[np.float64]


def signs(score: float | None, matches: Sequence[Match]) -> Floats:
    """`(2,)` what speaks for an object, each at most 1: the mean cosine of its first 10 matches,
    and its score (0 without one). All 0 without matches.
    """
    if not matches:
        return np.zeros(2)
    return np.array([np.mean([match.cosine for match in matches[:FIRST]]), score or 0.0])


def agreement(score: float | None, matches: Sequence[Match]) -> float:
    """The chance that at least three of the first five matches hold a thing of the object's kind,
    as estimated from its signs; 0 without matches.
    """
    return float(expit(signs(score, matches) @ WEIGHTS + BIAS)) if matches else 0.0
