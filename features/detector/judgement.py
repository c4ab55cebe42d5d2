"""The judgement on a detector: everything that one pass over photos with true boxes says."""

import json
import math
import resource
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval
from rich.table import Table

from features.detector.detector import Detector
from features.detector.evaluation import (
    WARM_UP,
    Coco,
    Evaluation,
    Latency,
    OnPhoto,
    latency_of,
    results,
    scored,
    summary,
    timed,
)
from features.detector.everyday import everyday_truth
from features.detector.matches import Matches, interval, matches_of, reliability, resampled_ap50
from sql.columns import FURNISHINGS, GARMENTS

GROUPS = {"worn or carried": GARMENTS, "home": FURNISHINGS}


@dataclass(frozen=True)
class Judgement:
    """Average precisions with what stands beside them.

    detector: its version. ap50_interval: 95 % bootstrap interval over photos of the mean over
    categories; ap50_by_category: name -> (low, high). by_group: 'home' or 'worn or carried' ->
    (ap50, low, high), mean over the group's categories with boxes, where there are any.
    reliability: bins of `features.detector.matches.Reliability` as lists, and its error. latency: per photo,
    one at a time, decoding left out. peak_memory_gb: of this process.
    """

    detector: str
    photos: int
    boxes: int
    evaluation: Evaluation
    ap50_interval: tuple[float, float]
    ap50_by_category: dict[str, tuple[float, float]]
    by_group: dict[str, tuple[float, float, float]]
    reliability: dict[str, Any]
    latency: Latency
    peak_memory_gb: float


def judged(
    detector: Detector,
    boxes: Path,
    folder: Path,
    *,
    everyday: bool = False,
    on_photo: OnPhoto | None = None,
) -> tuple[Judgement, Matches]:
    """The judgement on the COCO file's photos, and the matches it rests on.

    everyday: the file has COCO's names, which are said in ours. Raises ValueError where the file
    has no photo, or no box of a category that the detector knows.
    """
    milliseconds: list[float] = []
    scoring = _scored(detector, boxes, folder, everyday, on_photo, milliseconds)
    matches = matches_of(scoring)
    samples = resampled_ap50(matches)
    means = {"all": matches.categories, **GROUPS}
    pooled = {name: _mean_ap50(samples, matches, names) for name, names in means.items()}
    bins = {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in asdict(reliability(matches)).items()
    }
    evaluation = summary(scoring)
    return Judgement(
        detector=detector.version,
        photos=len(matches.photos),
        boxes=len(matches.true.score),
        evaluation=evaluation,
        ap50_interval=pooled["all"][1:],
        ap50_by_category={
            name: interval(samples[1:, matches.categories.index(name)])
            for name in evaluation.by_category
        },
        by_group={name: pooled[name] for name in GROUPS if not math.isnan(pooled[name][0])},
        reliability=bins,
        latency=latency_of(milliseconds[WARM_UP:] or milliseconds),
        peak_memory_gb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    ), matches


def matched(
    detector: Detector,
    boxes: Path,
    folder: Path,
    *,
    everyday: bool = False,
    on_photo: OnPhoto | None = None,
) -> Matches:
    """The matches of `judged` alone."""
    return matches_of(_scored(detector, boxes, folder, everyday, on_photo, []))


def judgement_tables(judgement: Judgement) -> list[Table]:
    """The numbers to print: by category, by size, and all together."""
    found = judgement.evaluation
    by_category = Table("category", "boxes", "AP", "AP50", "95% interval of AP50")
    for name, (ap, ap50, boxes) in sorted(found.by_category.items(), key=lambda row: -row[1][1]):
        low, high = judgement.ap50_by_category[name]
        by_category.add_row(
            name, f"{boxes:,}", f"{ap:.3f}", f"{ap50:.3f}", f"{low:.3f} to {high:.3f}"
        )
    by_size = Table("size", "boxes", "AP", "AP50")
    for name, (ap, ap50, boxes) in found.by_size.items():
        by_size.add_row(name, f"{boxes:,}", f"{ap:.3f}", f"{ap50:.3f}")
    return [by_category, by_size, _overall(judgement)]


def _overall(judgement: Judgement) -> Table:
    found = judgement.evaluation
    low, high = judgement.ap50_interval
    table = Table("all together", "", show_header=True)
    table.add_row("photos, boxes", f"{judgement.photos:,}, {judgement.boxes:,}")
    table.add_row("AP, AP75", f"{found.ap:.3f}, {found.ap75:.3f}")
    table.add_row("AP50, 95% interval", f"{found.ap50:.3f}, {low:.3f} to {high:.3f}")
    for name, (ap50, at_least, at_most) in judgement.by_group.items():
        table.add_row(f"AP50 {name}", f"{ap50:.3f}, {at_least:.3f} to {at_most:.3f}")
    table.add_row("scores off by", f"{judgement.reliability['error']:.3f} on average")
    latency = judgement.latency
    table.add_row("ms per photo", f"median {latency.median_ms:.0f}, 99th {latency.p99_ms:.0f}")
    table.add_row("peak memory", f"{judgement.peak_memory_gb:.2f} GB")
    return table


def _scored(
    detector: Detector,
    boxes: Path,
    folder: Path,
    everyday: bool,
    on_photo: OnPhoto | None,
    milliseconds: list[float],
) -> COCOeval:
    coco: Coco = json.loads(boxes.read_text())
    coco = everyday_truth(coco) if everyday else coco
    names = {category["id"]: category["name"] for category in coco["categories"]}
    known = {names[row["category_id"]] for row in coco["annotations"]} & set(detector.categories)
    if not (coco["images"] and known):
        raise ValueError(f"{boxes} has no photo, or no box of a category that the detector knows.")
    return scored(coco, results(timed(detector.detect, milliseconds), coco, folder, 1, on_photo))


def _mean_ap50(
    samples: np.ndarray, matches: Matches, names: tuple[str, ...]
) -> tuple[float, float, float]:
    """(value, low, high) of the mean over the named categories that have boxes."""
    there = set(matches.true.category.tolist())
    columns = [
        number
        for number, name in enumerate(matches.categories)
        if number in there and name in names
    ]
    if not columns:
        return math.nan, math.nan, math.nan
    means = np.nanmean(samples[:, columns], axis=1)
    return float(means[0]), *interval(means[1:])
