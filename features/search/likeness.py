"""Likeness of two objects: the cosine of their vectors, and more where their colours are near."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.search.results import Match
from features.visuals.colour import colour_distance

COLOUR = 0.1  # what the same colour adds to a cosine (docs/decisions/search.md)
NEAR = 20.0  # Lab distance over which that falls to a third


def likeness(
    cosines: NDArray[np.float32], colours: NDArray[np.float32], colour: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`(N,)` cosine + 0.1 exp(-d / 20), d the Lab distance of colours `(N, 3)` from one `(3,)`.

    >>> red, blue = [50.0, 70, 50], [30.0, 20, -60]
    >>> likeness(np.array([0.8, 0.82]), np.array([red, blue]), np.array(red)).round(2).tolist()
    [0.9, 0.82]
    """
    return np.asarray(cosines + COLOUR * np.exp(-colour_distance(colours, colour) / NEAR))


def by_likeness(matches: Sequence[Match], colour: NDArray[np.float32]) -> list[Match]:
    """Matches of objects by falling likeness to an object of that colour `(3,)` Lab."""
    cosines = np.array([match.cosine for match in matches], dtype=np.float32)
    colours = np.array([match.colour for match in matches], dtype=np.float32).reshape(-1, 3)
    order = np.argsort(-likeness(cosines, colours, colour), kind="stable")
    return [matches[row] for row in order]
