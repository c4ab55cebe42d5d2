"""Detections against true boxes at IoU 0.5: what is right, what is wrong, what is missed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval
from scipy import stats

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class Boxes:
    """N boxes; N may be 0.

    photo, category: `(N,)` rows of `Matches.photos` and `Matches.categories`. box: `(N, 4)` xyxy,
    pixels. score: `(N,)` in [0, 1], of the detection; for a true box of the detection that found
    it, 0 where none did. matched: `(N,)`, whether it has a partner at IoU 0.5.
    """

    photo: Whole
    category: Whole
    box: Floats
    score: Floats
    matched: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Matches:
    """Found and true boxes of P photos (file names) and C categories (names).

    A box has one partner at most, the surest detections choosing first, as pycocotools matches
    them; crowds, and detections that match one, are left out.
    """

    photos: tuple[str, ...]
    categories: tuple[str, ...]
    found: Boxes
    true: Boxes


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision over recall as the score falls, `(N,)` each, at score `(N,)`; boxes: true ones."""

    score: Floats
    recall: Floats
    precision: Floats
    boxes: int


@dataclass(frozen=True, eq=False)
class Reliability:
    """Detections in B bins of their score: mean score, share that is right with its 95 % Wilson
    interval (low, high), and found, how many; `(B,)` each, empty bins left out. error: mean
    distance of share and score over detections (expected calibration error; Guo et al. 2017,
    https://arxiv.org/abs/1706.04599), NaN without detections.
    """

    score: Floats
    share: Floats
    low: Floats
    high: Floats
    found: Whole
    error: float


def matches_of(scored: COCOeval) -> Matches:
    """The matches that a COCOeval made; `evaluate()` must have been called on it."""
    categories, photos = scored.params.catIds, scored.params.imgIds
    found, true = list(_found(scored)), list(_true(scored))
    return Matches(
        photos=tuple(scored.cocoGt.imgs[number]["file_name"] for number in photos),
        categories=tuple(scored.cocoGt.cats[number]["name"] for number in categories),
        found=_boxes(found),
        true=_boxes(true),
    )


Row = tuple[int, int, list[float], float, bool]


def _cells(scored: COCOeval) -> Iterator[tuple[int, int, dict[str, NDArray[np.float64]]]]:
    """(photo, category, record) of boxes of all sizes."""
    width = len(scored.params.imgIds)
    for category in range(len(scored.params.catIds)):
        start = category * len(scored.params.areaRng) * width
        for photo, record in enumerate(scored.evalImgs[start : start + width]):
            if record is not None:
                yield photo, category, record


def _found(scored: COCOeval) -> Iterator[Row]:
    for photo, category, record in _cells(scored):
        for number, score, partner, ignored in zip(
            record["dtIds"], record["dtScores"], record["dtMatches"][0], record["dtIgnore"][0],
            strict=True,
        ):  # fmt: skip
            if not ignored:
                box = scored.cocoDt.anns[number]["bbox"]
                yield photo, category, box, float(score), partner > 0


def _true(scored: COCOeval) -> Iterator[Row]:
    for photo, category, record in _cells(scored):
        scores = dict(zip(record["dtIds"], record["dtScores"], strict=True))
        for number, partner, ignored in zip(
            record["gtIds"], record["gtMatches"][0], record["gtIgnore"], strict=True
        ):
            if not ignored:
                box = scored.cocoGt.anns[number]["bbox"]
                yield photo, category, box, float(scores.get(int(partner), 0.0)), partner > 0


def _boxes(rows: list[Row]) -> Boxes:
    columns = list(zip(*rows, strict=True)) or [()] * 5
    box = np.array(columns[2], dtype=np.float64).reshape(-1, 4)
    box[:, 2:] += box[:, :2]
    return Boxes(
        photo=np.array(columns[0], dtype=np.int64),
        category=np.array(columns[1], dtype=np.int64),
        box=box,
        score=np.array(columns[3], dtype=np.float64),
        matched=np.array(columns[4], dtype=np.bool_),
    )


def resampled_ap50(matches: Matches, replicates: int = 200, seed: int = 7) -> Floats:
    """Average precision at IoU 0.5 `(1 + R, C)`: of the photos, then of R samples of as many photos
    drawn with replacement. Exact for each sample, NaN where it has no box of the category. Samples
    of few boxes tend to lie a little above the value, as a photo drawn twice agrees with itself.
    """
    photos = len(matches.photos)
    drawn = np.random.default_rng(seed).multinomial(
        photos, np.full(photos, 1 / photos), size=replicates
    )
    weights = np.concatenate([np.ones((1, photos), np.int64), drawn])
    columns = [_ap50(matches, category, weights) for category in range(len(matches.categories))]
    return np.stack(columns, axis=1)


def _ap50(matches: Matches, category: int, weights: Whole) -> Floats:
    """Average precision `(R,)` of a category where photo p counts `weights[r, p]` times."""
    found, true = matches.found, matches.true
    boxes = weights[:, true.photo[true.category == category]].sum(axis=1)
    rows = _by_falling_score(found, category)
    times = weights[:, found.photo[rows]]
    right = np.cumsum(times * found.matched[rows], axis=1)
    precision = _divided(right, np.cumsum(times, axis=1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = _divided(right, np.broadcast_to(boxes[:, None], right.shape))
    beyond = np.concatenate([precision, np.zeros((len(weights), 1))], axis=1)
    at_recalls = [
        line[np.searchsorted(reached, RECALLS)].mean()
        for line, reached in zip(beyond, recall, strict=True)
    ]
    return np.where(boxes > 0, at_recalls, np.nan)


def _by_falling_score(found: Boxes, category: int) -> Whole:
    rows = np.flatnonzero(found.category == category)
    return rows[np.argsort(-found.score[rows], kind="stable")]


def _divided(upper: Whole, lower: Whole) -> Floats:
    """The quotients, 0 where the lower is 0."""
    return np.divide(upper, lower, out=np.zeros(upper.shape), where=lower > 0)


def interval(samples: Floats) -> tuple[float, float]:
    """The 95 % percentile interval of `(R,)` samples, NaN left out; NaN where none is left."""
    kept = samples[~np.isnan(samples)]
    low, high = np.percentile(kept, [2.5, 97.5]) if len(kept) else (np.nan, np.nan)
    return float(low), float(high)


def wilson(right: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927); 0 to 1 where there is nothing to count.

    >>> [round(edge, 3) for edge in wilson(8, 10)]
    [0.49, 0.943]
    """
    if of == 0:
        return 0.0, 1.0
    found = stats.binomtest(right, of).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def curves(matches: Matches) -> dict[str, Curve]:
    """Precision over recall of each category that has true boxes, one point per detection."""
    return {
        name: curve
        for category, name in enumerate(matches.categories)
        if (curve := _curve(matches, category)).boxes
    }


def _curve(matches: Matches, category: int) -> Curve:
    rows = _by_falling_score(matches.found, category)
    boxes = int((matches.true.category == category).sum())
    right = np.cumsum(matches.found.matched[rows])
    precision = right / np.arange(1, len(rows) + 1)
    return Curve(matches.found.score[rows], right / max(boxes, 1), precision, boxes)


def reliability(matches: Matches, bins: int = 10) -> Reliability:
    """How the scores of all detections of categories with true boxes compare with the truth."""
    found = matches.found
    known = np.isin(found.category, matches.true.category)
    score, right = found.score[known], found.matched[known]
    place = np.minimum((score * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    kept = count > 0
    count, hits = count[kept], np.bincount(place, right, bins)[kept].astype(np.int64)
    mean, share = np.bincount(place, score, bins)[kept] / count, hits / count
    edges = np.array([wilson(*row) for row in zip(hits.tolist(), count.tolist(), strict=True)])
    low, high = edges.reshape(-1, 2).T
    error = float((count * np.abs(mean - share)).sum() / count.sum()) if len(score) else np.nan
    return Reliability(mean, share, low, high, count, error)
