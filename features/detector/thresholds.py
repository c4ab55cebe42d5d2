"""Thresholds: per category the score from which a detection is worth keeping."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.detector.detector import read_settings
from features.detector.matches import Matches


def thresholds(matches: Matches, precision: float, least: int = 20) -> dict[str, float]:
    """Category -> smallest score such that of all detections with at least that score, `least` or
    more, a share of `precision` or more is right at IoU 0.5; for categories with true boxes.

    Where a category has no such score (too few detections, or too many wrong) stands the one of all
    categories taken together; where these have none either, the category is left out.
    The photos must be none that the detector has trained on: there its scores flatter it.
    """
    found = matches.found
    known = np.isin(found.category, matches.true.category)
    together = lowest_score(found.score[known], found.matched[known], precision, least)
    chosen = {}
    for category in np.unique(matches.true.category):
        rows = found.category == category
        own = lowest_score(found.score[rows], found.matched[rows], precision, least)
        score = together if own is None else own
        if score is not None:
            chosen[matches.categories[category]] = score
    return chosen


def lowest_score(
    score: NDArray[np.float64], right: NDArray[np.bool_], precision: float, least: int
) -> float | None:
    """The smallest of the scores `(N,)` such that of the `least` or more detections with at least
    that score a share of `precision` or more is right; None where there is none.

    >>> lowest_score(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False]), 0.6, 1)
    0.7
    """
    order = np.argsort(-score, kind="stable")
    score, right = score[order], right[order]
    kept = np.arange(1, len(score) + 1)
    whole = np.append(score[1:] < score[:-1], True)[: len(score)]  # no equal score is left out
    enough = whole & (kept >= least) & (np.cumsum(right) >= precision * kept)
    return float(score[enough][-1]) if enough.any() else None


def write_thresholds(path: Path, chosen: Mapping[str, float]) -> dict[str, float]:
    """Puts the thresholds into the settings beside a detector's weights, in place of those of the
    same categories; returns all that now stand there, by category.

    Raises ValueError where the detector does not know a category.
    """
    settings = read_settings(path)
    if unknown := set(chosen) - set(settings.categories):
        raise ValueError(f"{path} does not know {', '.join(sorted(unknown))}.")
    rounded = {name: round(score, 4) for name, score in chosen.items()}
    now = dict(sorted({**settings.thresholds, **rounded}.items()))
    file = path.with_suffix(".json")
    described = json.loads(file.read_text())
    described["settings"]["thresholds"] = now
    file.write_text(json.dumps(described, indent=2) + "\n")
    return now
