"""What thresholds per category are worth: precision, recall, and saved pins found.

    python benchmarks/bench_thresholds.py --source FOLDER --home HOME --date DAY

Rules are the same least score for all categories, thresholds chosen on the photos of
boxes_train.json (which the detector has seen), and thresholds chosen on one half of the photos of
boxes_val.json and judged on the other, both ways. All are judged on boxes_val.json. HOME is what
`related-pins daily` left for DAY (objects with a score of 0.4 or more): those below a rule are left
out, and the pins saved from a query pin's page on the held-out days are looked for among its
candidates, as in bench_co_engagement.py.
"""

import argparse
import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from bench_co_engagement import (
    ROBOT,
    SAVED,
    likenesses,
    of_objects,
    recalls,
    table,
    with_interval,
)
from machine import machine
from numpy.typing import NDArray

from features.boxes import iou
from features.detector.detector import load_detector
from features.detector.judgement import matched
from features.detector.matches import Boxes, Matches
from features.detector.thresholds import thresholds
from features.visuals.store import VisualStore
from features.visuals.visuals import PinVisual, VisualSettings
from sql.database import open_database
from sql.home import feature_versions

Rule = tuple[Mapping[str, float], float]  # thresholds, and the score for other categories
LEAST, PRECISIONS, HELD_OUT_DAYS = (0.3, 0.4, 0.5, 0.6), (0.6, 0.7, 0.8), 4
MATCH, NEAR = 0.5, 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--date", type=dt.date.fromisoformat, required=True)
    options = parser.parse_args()
    print(machine("torch", "timm", "pycocotools"))
    detector = load_detector()
    seen, held_out = (
        matched(detector, options.source / f"boxes_{name}.json", options.source)
        for name in ("train", "val")
    )
    rules = rules_of(seen)
    print(f"{len(held_out.photos)} photos\n{'':30}precision  recall  objects per photo")
    for name, rule in rules.items():
        judge(name, [(held_out, rule)])
    for precision in PRECISIONS:
        judge(f"by category, halves, {precision}", halves(held_out, precision))
    print(wrong_ones(held_out, VisualSettings().min_score))
    find_saved(options.home, options.date, rules)


def rules_of(seen: Matches) -> dict[str, Rule]:
    default = VisualSettings().min_score
    same: dict[str, Rule] = {f"{least} for all": ({}, least) for least in LEAST}
    return same | {
        f"by category, seen, {precision}": (thresholds(seen, precision), default)
        for precision in PRECISIONS
    }


def halves(matches: Matches, precision: float) -> list[tuple[Matches, Rule]]:
    """Each half of the photos with the rule that the other one gives."""
    order = np.random.default_rng(0).permutation(len(matches.photos))
    one, two = (of_photos(matches, order[start::2]) for start in (0, 1))
    default = VisualSettings().min_score
    return [
        (judged, (thresholds(chosen_on, precision), default))
        for chosen_on, judged in ((one, two), (two, one))
    ]


def of_photos(matches: Matches, photos: NDArray[np.int64]) -> Matches:
    def some(boxes: Boxes) -> Boxes:
        kept = np.isin(boxes.photo, photos)
        return Boxes(*(getattr(boxes, name)[kept] for name in Boxes.__dataclass_fields__))

    return replace(matches, found=some(matches.found), true=some(matches.true))


def judge(name: str, parts: list[tuple[Matches, Rule]]) -> None:
    """A line of precision, recall and objects per photo of the parts together."""
    n_kept, n_right, n_true, n_photos = 0, 0, 0, 0
    for matches, (least, default) in parts:
        floors = np.array([least.get(name, default) for name in matches.categories])
        kept = matches.found.score >= floors[matches.found.category]
        n_kept, n_right = n_kept + kept.sum(), n_right + matches.found.matched[kept].sum()
        n_true += len(matches.true.score)
        n_photos += len(np.unique(matches.true.photo))
    print(f"{name:30}{n_right / n_kept:9.3f}  {n_right / n_true:6.3f}  {n_kept / n_photos:17.2f}")


def wrong_ones(matches: Matches, least: float) -> str:
    """What the wrong detections lie on, as shares."""
    found, true = matches.found, matches.true
    wrong, kinds = np.flatnonzero((found.score >= least) & ~found.matched), Counter[str]()
    for row in wrong:
        here = true.photo == found.photo[row]
        overlap = np.append(iou(found.box[row], true.box[here]), 0)
        own = np.append(true.category[here] == found.category[row], True)
        kinds["a second box" if overlap[own].max() >= MATCH
              else "another category" if overlap.max() >= MATCH
              else "badly on its category" if overlap[own].max() >= NEAR
              else "nothing"] += 1  # fmt: skip
    shares = ", ".join(f"{name} {n / len(wrong):.2f}" for name, n in kinds.most_common())
    return f"{len(wrong)} wrong ones of {least} and more: {shares}"


def find_saved(home: Path, day: dt.date, rules: Mapping[str, Rule]) -> None:
    """Recall at 10 of the saved among the candidates, and its change from the default rule."""
    database = open_database(home / "related_pins.db")
    first = day - dt.timedelta(days=HELD_OUT_DAYS - 1)
    saved = database.read(SAVED, first=first, last=day, robot=ROBOT).to_pandas()
    candidates = database.read("SELECT query_pin_id, candidate_pin_id FROM candidates").to_pandas()
    pins = database.read("SELECT pin_id FROM pins ORDER BY pin_id")["pin_id"].to_pylist()
    store = VisualStore(database, home, feature_versions(database)["detected"] or "")
    visuals = store.read(pins)
    saved = saved[saved.isin(list(visuals)).all(axis=1)]
    n_queries = saved["query_pin_id"].nunique()
    print(f"\n{n_queries} query pins; change of recall at 10 among the candidates from 0.4 for all")
    print(f"{'':30}objects per pin  dominant                  any")
    before = found(visuals, saved, candidates)
    for name, rule in rules.items():
        kept = {pin: above(visual, rule) for pin, visual in visuals.items()}
        changes = [now - then for now, then in zip(found(kept, saved, candidates), before,
                                                   strict=True)]  # fmt: skip
        objects = np.mean([len(visual.scores) for visual in kept.values()])
        print(f"{name:30}{objects:15.2f}  " + "  ".join(map(with_interval, changes)))


def above(visual: PinVisual, rule: Rule) -> PinVisual:
    """The visual without the objects that the rule drops."""
    floors = [rule[0].get(category, rule[1]) for category in visual.categories]
    rows = np.flatnonzero(visual.scores >= floors)
    arrays = {name: getattr(visual, name)[rows]
              for name in ("boxes", "scores", "crops", "padded", "colours")}  # fmt: skip
    return replace(visual, categories=tuple(visual.categories[row] for row in rows), **arrays)


def found(
    visuals: Mapping[str, PinVisual], saved: pd.DataFrame, candidates: pd.DataFrame
) -> list[NDArray[np.float64]]:
    """Recall at 10 of each query pin, by the dominant objects and by any."""
    queries, shelf = sorted(set(saved["query_pin_id"])), list(visuals)
    wanted, offered = (table(rows, queries, shelf) for rows in (saved, candidates))
    objects = {pin: visual.crops for pin, visual in visuals.items()}
    wholes = {pin: visual.whole_crop for pin, visual in visuals.items()}
    return [
        recalls(np.where(offered, likenesses(kind, queries, shelf), -np.inf), wanted, 10)
        for kind in of_objects("", visuals, objects, wholes).values()
    ]


if __name__ == "__main__":
    main()
