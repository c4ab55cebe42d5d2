"""Agreement: how likely it is that the matches of an object are things of its kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from features.search.results import Match

FIRST = 10  # matches that are looked at
Floats = NDArray[np.float64]


def signs(category: str | None, score: float | None, matches: Sequence[Match]) -> Floats:
    """`(4,)` what speaks for the matches of an object: the share of the first 10 that have its
    category (for a crop without one, the category that most of them have), their mean cosine, the
    cosine of the tenth, and the score of the object (0 without one). All 0 without matches.
    """
