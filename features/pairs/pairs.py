"""Pair features: what the pixels, and people's crops, say about a query and a candidate pin.

The columns and their meanings are `sql.columns.PAIR_FEATURES` and `PAIR_INTEREST`. Everything is a
gather of unit vectors and a blocked product; a pair's numbers do not depend on its neighbours.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.visuals.columns import VisualColumns
from sql.columns import CATEGORIES

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
BLOCK = 512
SLOTS = 8
LIKE_COLOUR = 20.0


@dataclass(frozen=True, eq=False)
class PinArrays:
    """P pins as arrays, each with room for K objects; M objects in all, and row M for 'none'.

    K is a multiple of SLOTS: products and sums of arrays then come out bit by bit the same whatever
    the other pins hold, so that a pair may be made anew by itself.

    whole: `(P, D)`. whole_crop: `(P, E)`. crops, padded: `(M + 1, E)`, last row zeros. colours:
    `(M + 1, 3)` Lab.
    objects: `(P, K)` rows of the objects, M where there is none. categories: `(M + 1,)` codes, -1
    for none; the first are those of CATEGORIES. names: of all codes. scores, areas: `(M + 1,)`, 0
    for none.
    dominant: `(P,)` row of the dominant object, M for none.
    """

    whole: Floats
    whole_crop: Floats
    crops: Floats
    padded: Floats
    colours: Floats
    objects: Ints
    categories: Ints
    names: tuple[str, ...]
    scores: Floats
    areas: Floats
    dominant: Ints

    @property
    def none(self) -> int:
        return len(self.scores) - 1


def pin_arrays(visuals: VisualColumns) -> PinArrays:
    """Packs the visuals of pins, at least one. Categories outside CATEGORIES get codes of their
    own.
    """
    found = visuals.categories.dictionary_encode()
    codes = {name: code for code, name in enumerate(CATEGORIES)}
    by_name = [codes.setdefault(name, len(codes)) for name in found.dictionary.to_pylist()]
    categories = np.array(by_name, dtype=np.int64)[found.indices.to_numpy()]
    return PinArrays(
        whole=visuals.whole,
        whole_crop=visuals.whole_crop,
        crops=_with_none(visuals.crops),
        padded=_with_none(visuals.padded),
        colours=_with_none(visuals.colours),
        objects=visuals.slots(SLOTS * max(1, -(-int(visuals.counts.max()) // SLOTS))),
        categories=np.append(categories, -1),
        names=tuple(codes),
        scores=_with_none(visuals.scores),
        areas=_with_none(visuals.area_shares.astype(np.float32)),
        dominant=visuals.dominant(),
    )


def _with_none(rows: Floats) -> Floats:
    return np.concatenate([rows, np.zeros((1, *rows.shape[1:]), dtype=rows.dtype)])


@dataclass(frozen=True, eq=False)
class Comparison:
    """B pairs, object by object: query objects along the second axis, candidate's along the third.

    both, same: `(B, K, K)` whether both objects are there, and of one category. cosine: their
    cosine. colour: their Lab distance. Entries where `both` is false mean nothing.
    """

    both: NDArray[np.bool_]
    same: NDArray[np.bool_]
    cosine: Floats
    colour: Floats


def compare(pins: PinArrays, query: Ints, candidate: Ints) -> Comparison:
    """Every object of B query pins `(B,)` against every object of their candidates `(B,)`."""
    of_query, of_candidate = pins.objects[query], pins.objects[candidate]
    both = (of_query != pins.none)[:, :, None] & (of_candidate != pins.none)[:, None, :]
    same = pins.categories[of_query][:, :, None] == pins.categories[of_candidate][:, None, :]
    colours = pins.colours[of_query][:, :, None] - pins.colours[of_candidate][:, None, :]
    cosine = pins.crops[of_query] @ pins.crops[of_candidate].transpose(0, 2, 1)
    return Comparison(both, same & both, cosine, np.linalg.norm(colours, axis=-1))


def pair_features(pins: PinArrays, query: Ints, candidate: Ints) -> dict[str, Floats]:
    """Every column of PAIR_FEATURES as `(N,)` float32 for N pairs of rows of `pins`.

    NaN where the meaning says null. N may be 0.
    """
    return _blocks(len(query), lambda rows: _features(pins, query[rows], candidate[rows]))


def pair_interest(
    pins: PinArrays, query: Ints, candidate: Ints, interest: Floats, n_croppers: Ints
) -> dict[str, Floats]:
    """Every column of PAIR_INTEREST as `(T, N)` float32 for T days and N pairs of rows of `pins`.

    interest: `(T, P, K)` interest in each object, known before the day: see `expected_interest`.
    n_croppers: `(T, P)` users who cropped the pin's objects.
    """

    def block(rows: slice) -> dict[str, Floats]:
        of_query = query[rows]
        found = _matches(compare(pins, of_query, candidate[rows]))
        days = [interest_columns(found, share[of_query], users[of_query])
                for share, users in zip(interest, n_croppers, strict=True)]  # fmt: skip
        return {name: np.stack([day[name] for day in days]) for name in days[0]}

    return _blocks(len(query), block)


@dataclass(frozen=True, eq=False)
class Matches:
    """What each object of B query pins finds in the candidate pin, `(B, K)`; NaN where nothing.

    any_there, category_there: whether there is any object, one of its category. best, best_same:
    the largest cosine with any, with one of its category. colour: the least Lab distance from one
    of its category.
    """

    any_there: NDArray[np.bool_]
    category_there: NDArray[np.bool_]
    best: Floats
    best_same: Floats
    colour: Floats


def _matches(pairs: Comparison) -> Matches:
    return Matches(
        any_there=np.asarray(pairs.both.any(axis=2)),
        category_there=np.asarray(pairs.same.any(axis=2)),
        best=_best(pairs.cosine, pairs.both, axis=2),
        best_same=_best(pairs.cosine, pairs.same, axis=2),
        colour=-_best(-pairs.colour, pairs.same, axis=2),
    )


def interest_columns(found: Matches, interest: Floats, n_croppers: Ints) -> dict[str, Floats]:
    """PAIR_INTEREST of B compared pairs; interest `(B, K)`, n_croppers `(B,)` of the query pins."""
    of_category = interest * found.category_there
    return {
        "query_interest_max": interest.max(axis=1),
        "query_n_croppers": n_croppers.astype(np.float32),
        "interest_cosine": _weighted_mean(found.best, interest * found.any_there),
        "interest_same_category": of_category.sum(axis=1),
        "interest_same_category_cosine": _weighted_mean(found.best_same, of_category),
        "interest_colour_distance": _weighted_mean(found.colour, of_category),
        "interest_look_match": np.nansum(interest * np.maximum(found.best_same, 0), axis=1),
        "interest_colour_match": np.nansum(interest * np.exp(-found.colour / LIKE_COLOUR), axis=1),
    }


def _features(pins: PinArrays, query: Ints, candidate: Ints) -> dict[str, Floats]:
    pairs = compare(pins, query, candidate)
    return {
        **_whole_and_dominant(pins, query, candidate),
        **_presence(pins, query, candidate, pairs),
        **_object_by_object(pins, query, candidate, pairs),
        **_by_category(pins, query, pairs),
        "whole_crop_cosine": (pins.whole_crop[query] * pins.whole_crop[candidate]).sum(axis=1),
    }


def _whole_and_dominant(pins: PinArrays, query: Ints, candidate: Ints) -> dict[str, Floats]:
    def cosine(vectors: Floats) -> Floats:
        sides = []
        for pin in (query, candidate):
            row = pins.dominant[pin]
            found = (row != pins.none)[:, None]
            sides.append(np.where(found, vectors[row], pins.whole_crop[pin]))
        return np.asarray((sides[0] * sides[1]).sum(axis=1))

    return {
        "whole_cosine": (pins.whole[query] * pins.whole[candidate]).sum(axis=1),
        "crop_cosine": cosine(pins.crops),
        "padded_crop_cosine": cosine(pins.padded),
    }


def _presence(
    pins: PinArrays, query: Ints, candidate: Ints, pairs: Comparison
) -> dict[str, Floats]:
    one, two = pins.dominant[query], pins.dominant[candidate]
    both = np.logical_and(one != pins.none, two != pins.none)
    same = np.logical_and(both, pins.categories[one] == pins.categories[two])
    return {
        "query_has_object": _number(one != pins.none),
        "candidate_has_object": _number(two != pins.none),
        "both_have_object": both.astype(np.float32),
        "same_category": _number(same),
        "n_shared_categories": _n_shared(pins.categories[pins.objects[query]], pairs.same),
        "query_object_area": pins.areas[one],
        "candidate_object_area": pins.areas[two],
        "query_object_score": pins.scores[one],
        "candidate_object_score": pins.scores[two],
        "query_n_objects": _number((pins.objects[query] != pins.none).sum(axis=1)),
        "candidate_n_objects": _number((pins.objects[candidate] != pins.none).sum(axis=1)),
    }


def _n_shared(categories: Ints, same: NDArray[np.bool_]) -> Floats:
    """Distinct categories `(B,)` among the query objects `(B, K)` that have a match."""
    shared = np.sort(np.where(same.any(axis=2), categories, -1), axis=1)
    is_new = np.ones(shared.shape, dtype=bool)
    is_new[:, 1:] = shared[:, 1:] != shared[:, :-1]
    return _number((is_new & (shared >= 0)).sum(axis=1))


def _object_by_object(
    pins: PinArrays, query: Ints, candidate: Ints, pairs: Comparison
) -> dict[str, Floats]:
    ruling = pins.objects[query] == pins.dominant[query][:, None]
    ruling_candidate = pins.objects[candidate] == pins.dominant[candidate][:, None]
    from_dominant = pairs.both & ruling[:, :, None]
    to_dominant = pairs.both & ruling_candidate[:, None, :]
    best = _best(pairs.cosine, pairs.both, axis=(1, 2))
    best_per_object = _best(pairs.cosine, pairs.both, axis=2)
    matched = pairs.both & (pairs.cosine == best[:, None, None])
    return {
        "best_object_cosine": best,
        "mean_best_object_cosine": _weighted_mean(best_per_object, _number(pairs.both.any(axis=2))),
        "dominant_to_any_cosine": _best(pairs.cosine, from_dominant, axis=(1, 2)),
        "any_to_dominant_cosine": _best(pairs.cosine, to_dominant, axis=(1, 2)),
        "same_category_cosine": _best(pairs.cosine, pairs.same, axis=(1, 2)),
        "same_category_colour_distance": -_best(-pairs.colour, pairs.same, axis=(1, 2)),
        "dominant_colour_distance": -_best(-pairs.colour, from_dominant & to_dominant, (1, 2)),
        "matched_colour_distance": -_best(-pairs.colour, matched, axis=(1, 2)),
        "colour_match": _colour_match(pairs),
    }


def _colour_match(pairs: Comparison) -> Floats:
    nearest = -_best(-pairs.colour, pairs.same, axis=2)
    return np.asarray(np.nansum(np.exp(-nearest / LIKE_COLOUR), axis=1), dtype=np.float32)


def _by_category(pins: PinArrays, query: Ints, pairs: Comparison) -> dict[str, Floats]:
    categories = pins.categories[pins.objects[query]]
    best = _best(pairs.cosine, pairs.same, axis=2)
    categories[np.isnan(best)] = -1  # nothing to compare with
    return {
        f"{name}_cosine": _best(best, categories == code, axis=1)
        for code, name in enumerate(CATEGORIES)
    }


def _best(values: Floats, mask: NDArray[np.bool_], axis: int | tuple[int, ...]) -> Floats:
    """Largest value where the mask holds, NaN where it never does."""
    found = np.where(mask, values, np.float32(-np.inf))
    if isinstance(axis, int):  # few numbers: ten times as fast where these are not neighbours
        found, axis = np.ascontiguousarray(np.moveaxis(found, axis, 0)), 0
    best = found.max(axis=axis)
    return np.asarray(np.where(np.isneginf(best), np.nan, best), dtype=np.float32)


def _weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Mean over axis 1 of the values that have weight; NaN where none has."""
    total = weights.sum(axis=1)
    summed = np.where(weights > 0, values * weights, 0).sum(axis=1)
    mean = np.divide(summed, total, out=np.full(len(total), np.nan), where=total > 0)
    return np.asarray(mean, dtype=np.float32)


def _number(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float32)


def _blocks(n: int, function: Callable[[slice], dict[str, Floats]]) -> dict[str, Floats]:
    parts = [function(slice(start, start + BLOCK)) for start in range(0, max(n, 1), BLOCK)]
    return {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
