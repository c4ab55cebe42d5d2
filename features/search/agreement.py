"""Agreement: how likely the matches of an object are things of its kind, and which are offered."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from features.search.results import Match

FIRST = 10  # matches that are looked at
WEIGHTS, BIAS = (1.0, 1.0, 1.0), 0.0
OFFERED = 0.5
Floats = NDArray[np.float64]


def signs(category: str | None, score: float | None, matches: Sequence[Match]) -> Floats:
    """`(3,)` what speaks for an object, each 0 to 1: the share of its first 10 matches that have
    its category (for a crop without one, that most of them have), their mean cosine, and its score
    (0 without one). All 0 without matches.
    """
    first = matches[:FIRST]
    if not first:
        return np.zeros(3)
    names = [match.category for match in first]
    most = category or max(names, key=names.count)
    cosine = float(np.mean([match.cosine for match in first]))
    return np.array([names.count(most) / len(first), cosine, score or 0.0])


def agreement(category: str | None, score: float | None, matches: Sequence[Match]) -> float:
    """The chance that at least three of the first five matches hold a thing of the object's kind,
    as estimated from its signs; 0 without matches.
    """
    if not matches:
        return 0.0
    return float(expit(signs(category, score, matches) @ WEIGHTS + BIAS))
