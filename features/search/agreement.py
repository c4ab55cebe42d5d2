"""Agreement: how likely it is that the matches of an object are things of its kind."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.search.results import Match

FIRST = 10  # matches that are looked at
OFFERED = 0.5
Floats = NDArray[np.float64]


def signs(category: str | None, score: float | None, matches: Sequence[Match]) -> Floats:
    """`(3,)` what speaks for an object: the share of its first 10 matches that have its category
    (for a crop without one, the category that most of them have), their mean cosine, and its score
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
    share, cosine, _ = signs(category, score, matches)
    return float(share * cosine)
