"""Annotations: what the words of pins (title and board) say about what is on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from features.detector.catalogue import BOARDS

MOST, LEAST = 0.1, 3  # share of pins above which, and number below which, a term is dropped
SHARP = 0.5  # sharpness below which a term says nothing of the category
FLOOR = 1e-12


@dataclass(frozen=True, eq=False)
class Annotations:
    """Annotations of N pins.

    terms: T terms, each a board's name or a word of a title. weights: `(N, T)` sparse float64,
    TF-IDF of each pin's terms, rows of length 1 (or 0 where a pin has none). categories: C names.
    shares: `(N, C)` float64, what the pin's terms say about its category; rows sum to 1, or to 0
    where they say nothing.
    """

    terms: tuple[str, ...]
    weights: csr_array
    categories: tuple[str, ...]
    shares: NDArray[np.float64]


def annotate(
    titles: Sequence[str | None],
    boards: Sequence[str | None],
    board_category: Mapping[str, str] = BOARDS,
) -> Annotations:
    """Annotations of pins from their titles and boards, TF-IDF weighted.

    The vocabulary is learned: terms of more than a tenth of the pins (a board 'outfits' whose
    titles are all 'street style outfit') and of fewer than three pins are dropped. A term stands
    for categories by the boards it is found on, and counts by its sharpness, `1 - entropy / log C`;
    below 0.5 not at all, so that a colour or a brand says nothing.

    >>> titles = ["red bag", "blue bag", "grey bag", "red shoe", "blue shoe", "grey shoe", "outfit"]
    >>> found = annotate([*titles, *["outfit"] * 60], ["handbags"] * 3 + ["heels"] * 3 + [""] * 61)
    >>> found.terms, found.categories, found.shares[[0, 4, 6]].round(2).tolist()
    (('bag', 'handbags', 'heels', 'shoe'), ('bag', 'shoes'), [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    """
    categories = tuple(sorted(set(board_category.values()) & _found(boards, board_category)))
    texts = [_terms(title, board) for title, board in zip(titles, boards, strict=True)]
    counts, terms = _counted(texts)
    weights = csr_array(TfidfTransformer().fit_transform(counts)) if terms else counts
    numbers = {name: number for number, name in enumerate(categories)}
    known = np.zeros((len(texts), len(categories)))
    for row, board in enumerate(boards):
        if (category := board_category.get(board or "")) is not None:
            known[row, numbers[category]] = 1
    says = weights.T @ known  # (T, C)
    says = says / np.maximum(says.sum(axis=1, keepdims=True), FLOOR)
    shares = weights @ (says * _sharpness(says)[:, None])
    return Annotations(terms, weights, categories, parts(shares))


def parts(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows `(N, C)` of weights as shares that sum to 1; a row of zeros stays.

    >>> parts(np.array([[3.0, 1.0], [0.0, 0.0]])).tolist()
    [[0.75, 0.25], [0.0, 0.0]]
    """
    return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), FLOOR))


def _found(boards: Sequence[str | None], board_category: Mapping[str, str]) -> set[str]:
    return {board_category[board] for board in boards if board and board in board_category}


def _terms(title: str | None, board: str | None) -> list[str]:
    return [*{board: None}, *(title or "").lower().split()] if board else []


def _counted(texts: Sequence[Sequence[str]]) -> tuple[csr_array, tuple[str, ...]]:
    """Counts `(N, T)` of the terms that are neither too common nor too rare, and the terms."""
    empty = csr_array((len(texts), 0), dtype=np.float64)
    if len(texts) < LEAST:
        return empty, ()
    counter = CountVectorizer(analyzer=lambda words: words, binary=True)
    try:
        counts = csr_array(counter.fit_transform(texts))
    except ValueError:  # not a word in all titles
        return empty, ()
    pins = counts.sum(axis=0)
    kept = np.flatnonzero((pins >= LEAST) & (pins <= MOST * len(texts)))
    names = counter.get_feature_names_out()
    return csr_array(counts[:, kept], dtype=np.float64), tuple(str(names[term]) for term in kept)


def _sharpness(says: NDArray[np.float64]) -> NDArray[np.float64]:
    """How few categories each term stands for: 1 for one, 0 for many or for none."""
    entropy = -(says * np.log(np.maximum(says, FLOOR))).sum(axis=1)
    sharp = 1 - entropy / np.log(max(says.shape[1], 2))
    return np.asarray(np.where((says.sum(axis=1) > 0) & (sharp >= SHARP), sharp, 0))
