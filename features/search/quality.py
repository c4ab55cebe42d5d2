"""How good a search is: matches judged by the boards, the titles and the true boxes of pins."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from features.detector.catalogue import BOARDS
from features.detector.matches import interval

COLOURS: Mapping[str, str] = {
    "black": "black", "white": "white", "off white": "white", "grey": "grey", "gray": "grey",
    "charcoal": "grey", "silver": "grey", "steel": "grey", "red": "red", "maroon": "red",
    "burgundy": "red", "green": "green", "olive": "green", "lime": "green", "yellow": "yellow",
    "mustard": "yellow", "gold": "yellow", "blue": "blue", "navy": "blue", "navy blue": "blue",
    "teal": "blue", "turquoise": "blue", "brown": "brown", "tan": "brown", "bronze": "brown",
    "coffee": "brown", "copper": "brown", "purple": "purple", "lavender": "purple", "pink": "pink",
    "magenta": "pink", "peach": "pink", "orange": "orange", "rust": "orange", "beige": "beige",
    "cream": "beige", "khaki": "beige", "nude": "beige", "skin": "beige",
}  # fmt: skip
_WORDS = re.compile(rf"\b({'|'.join(sorted(COLOURS, key=len, reverse=True))})\b", re.IGNORECASE)
Kind = tuple[str, str | None]  # category, colour name


@dataclass(frozen=True)
class Truth:
    """What pins hold: pin -> the kinds of its objects. A pin that is not in it is not judged."""

    kinds: Mapping[str, frozenset[Kind]]

    def right(self, query: Kind, pins: Iterable[str], *, colour: bool) -> list[bool]:
        """Of each judged pin, in order, whether it holds an object of the query's category and,
        with colour, of its colour name.

        >>> truth = Truth({"p1": frozenset({("bag", "red")}), "p2": frozenset({("bag", "blue")})})
        >>> truth.right(("bag", "red"), ["p1", "p2", "p3"], colour=False)
        [True, True]
        >>> truth.right(("bag", "red"), ["p1", "p2", "p3"], colour=True)
        [True, False]
        """
        held = (self.kinds[pin] for pin in pins if pin in self.kinds)
        if colour:
            return [query in kinds for kinds in held]
        return [any(category == query[0] for category, _ in kinds) for kinds in held]


def title_colour(title: str | None) -> str | None:
    """The basic colour that a title names last; None where it names none.

    >>> title_colour("Puma Men Navy Blue Track Pants"), title_colour("Black Label Men Tan Belt")
    ('blue', 'brown')
    """
    names = _WORDS.findall(title or "")
    return COLOURS[names[-1].lower()] if names else None


def product_kinds(
    pins: Sequence[str], titles: Sequence[str | None], boards: Sequence[str | None]
) -> dict[str, frozenset[Kind]]:
    """Pin -> its one kind, of pins on a board that has a category."""
    rows = zip(pins, titles, boards, strict=True)
    return {
        pin: frozenset({(BOARDS[board], title_colour(title))})
        for pin, title, board in rows
        if board is not None and board in BOARDS
    }


def precision(right: Sequence[Sequence[bool]], at: int) -> NDArray[np.float64]:
    """Precision `(Q,)` at `at` of Q lists of judged matches; a match that is missing is wrong.

    >>> precision([[True, False, True], [True]], 2).tolist()
    [0.5, 0.5]
    """
    return np.array([sum(one[:at]) / at for one in right])


def mean_of(
    values: NDArray[np.float64], photos: Sequence[str], replicates: int = 1000, seed: int = 7
) -> tuple[float, float, float]:
    """The mean of values `(Q,)` and its 95 % interval by drawing photos with replacement.

    photos: of each value; values of one photo are drawn together.
    """
    _, photo = np.unique(np.asarray(photos), return_inverse=True)
    sums, counts = np.bincount(photo, values), np.bincount(photo)
    n = len(counts)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=replicates)
    return float(values.mean()), *interval((drawn @ sums) / (drawn @ counts))


def fitted(signs: NDArray[np.float64], good: NDArray[np.bool_]) -> tuple[tuple[float, ...], float]:
    """(weights, bias) of the logistic regression of `(N,)` good on the signs `(N, S)`.

    No sign counts against an object: where the lowest weight is negative it is 0, and the others
    are fitted again.
    """
    weights, kept = np.zeros(signs.shape[1]), np.arange(signs.shape[1])
    while len(kept):
        model = LogisticRegression(C=1e3, max_iter=1000).fit(signs[:, kept], good)
        if (model.coef_ >= 0).all():
            weights[kept] = model.coef_[0]
            return tuple(weights.tolist()), float(model.intercept_[0])
        kept = np.delete(kept, model.coef_[0].argmin())
    return tuple(weights.tolist()), float(np.log(good.mean() / (1 - good.mean())))
