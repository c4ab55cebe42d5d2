"""Weak boxes and labels from people's crops, against boxes drawn from pixel masks.

    python benchmarks/bench_weak_labels.py --source FOLDER [--date 2026-11-15] [--home FOLDER]

Photos are those of boxes_train.json with at least 5 crops. The rules were chosen on half of them
(`tune`) and are reported on the other (`test`); those of the labels on another half than those of
the boxes. One thing was seen on all photos: how often boxes of n users were right, from which the
four rates behind the confidence come. Labels are learned on all photos, never from a true box.

A weak box is right if it has an IoU of at least 0.5 with a true box that no surer weak box has
taken. Precision is the share of weak boxes that are right, recall the share of true boxes found: of
all of them, and of those that crops of at least 1, 2 or 3 users hit with an IoU of at least 0.5 -
what nobody cropped, no method can find. Label accuracy is over the right boxes; purity is the share
of the right boxes of a label that have its commonest true category.
--home keeps embeddings between runs.
"""

import argparse
import datetime as dt
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from machine import machine

from features.boxes import iou
from features.embedding.embedding import Embedder
from features.weak.objects import EDGES, make_weak_objects
from sql.database import open_database
from sql.tables import crops as crops_table
from sql.tables import pins as pins_table

MATCH, LEAST_CROPS = 0.5, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--date", type=dt.date.fromisoformat, default=dt.date(2026, 11, 15))
    parser.add_argument("--home", type=Path, default=None)
    options = parser.parse_args()
    print(machine("torch", "timm", "faiss-cpu", "scikit-learn", "scipy"))
    crops = read_crops(options.source, options.date)
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder)
        database = open_database(Path(folder) / "related_pins.db")
        database.upgrade()
        database.append(pins_table, pq.read_table(options.source / "pins.parquet"))
        database.append(crops_table, crops)
        started = time.perf_counter()
        made = make_weak_objects(database, options.source, home, Embedder(), options.date)
        print(f"{len(made.objects)} weak objects in {time.perf_counter() - started:.0f} s")
    for reason, n in made.set_aside.items():
        print(f"  not used: {reason:32} {n:>6}")
    truth = true_boxes(options.source / "boxes_train.json")
    report(made.objects, crops.to_pandas(), truth)


def read_crops(source: Path, day: dt.date) -> pa.Table:
    """Crops up to a day, as the table `crops` has them."""
    crops = pq.read_table(source / "crops.parquet").to_pandas()
    crops["date"] = crops["cropped_at"].dt.date
    crops["cropped_at"] = crops["cropped_at"].dt.tz_localize(None)
    crops = crops.drop_duplicates("crop_id")
    return pa.Table.from_pandas(crops[crops["date"] <= day], preserve_index=False)


def true_boxes(path: Path) -> pd.DataFrame:
    """One row per true box: pin_id, category and edges."""
    coco = json.loads(path.read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    photos = {image["id"]: Path(image["file_name"]).stem for image in coco["images"]}
    return pd.DataFrame(
        [
            (photos[row["image_id"]], names[row["category_id"]], x, y, x + width, y + height)
            for row in coco["annotations"]
            for x, y, width, height in [row["bbox"]]
        ],
        columns=["pin_id", "category", *EDGES],
    )


def report(objects: pd.DataFrame, crops: pd.DataFrame, truth: pd.DataFrame) -> None:
    n_crops = crops["pin_id"].value_counts()
    pins = sorted(set(n_crops[n_crops >= LEAST_CROPS].index) & set(truth["pin_id"]))
    truth = truth[truth["pin_id"].isin(pins)].copy()
    truth["users"] = users_on(crops, truth)
    matched = match(objects[objects["pin_id"].isin(pins)], truth)
    for show, tune in ((show_boxes, tuned(pins)), (show_labels, tuned(sorted(n_crops.index)))):
        for half, of_half in (("tune", set(pins) & tune), ("test", set(pins) - tune)):
            print(f"\n{half}: {len(of_half)} photos")
            show(matched[matched["pin_id"].isin(of_half)], truth[truth["pin_id"].isin(of_half)])


def tuned(pins: list[str]) -> set[str]:
    """The half of the pins on which rules were chosen."""
    order = np.random.default_rng(0).permutation(len(pins))
    return {pins[number] for number in order[: len(pins) // 2]}


def users_on(crops: pd.DataFrame, truth: pd.DataFrame) -> list[int]:
    """Users of whose crops at least one has an IoU of 0.5 with the true box."""
    by_pin = dict(list(crops.groupby("pin_id")))
    found = []
    for row in truth.itertuples():
        rows = by_pin[row.pin_id]
        hit = iou(np.array([row.x1, row.y1, row.x2, row.y2]), rows[EDGES].to_numpy()) >= MATCH
        found.append(rows["user_id"][hit].nunique())
    return found


def match(objects: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """The objects with the row of truth that each found, -1 for none; the surest choose first."""
    by_pin = dict(list(truth.groupby("pin_id")))
    taken: set[int] = set()
    found = {}
    for row in objects.sort_values("box_confidence", ascending=False, kind="stable").itertuples():
        true = by_pin[row.pin_id]
        overlap = iou(np.array([row.x1, row.y1, row.x2, row.y2]), true[EDGES].to_numpy(dtype=float))
        free = np.where([number in taken for number in true.index], 0, overlap)
        found[row.Index] = int(true.index[free.argmax()]) if free.max() >= MATCH else -1
        taken.add(found[row.Index])
    return objects.assign(true=pd.Series(found), truth=pd.Series(found).map(truth["category"]))


def show_boxes(objects: pd.DataFrame, truth: pd.DataFrame) -> None:
    hits = set(objects["true"]) - {-1}
    right = objects[objects["true"] >= 0]
    print(f"precision {len(right) / len(objects):.3f} of {len(objects)} weak boxes")
    print(f"recall {np.mean([row in hits for row in truth.index]):.3f} of {len(truth)} true boxes")
    for least in (1, 2, 3):
        cropped = truth.index[truth["users"] >= least]
        share = np.mean([row in hits for row in cropped])
        print(f"recall {share:.3f} of {len(cropped)} that at least {least} users cropped")
    for least in (0.6, 0.7, 0.8, 0.9):
        sure = objects[objects["box_confidence"] >= least]
        found = (sure["true"] >= 0).sum()
        print(f"  box confidence {least}: precision {found / len(sure):.3f}, recall "
              f"{found / len(truth):.3f}")  # fmt: skip


def show_labels(objects: pd.DataFrame, _: pd.DataFrame) -> None:
    right = objects[objects["true"] >= 0]
    good = right["category"] == right["truth"]
    by_true = good.groupby(right["truth"]).mean()
    tops = right.groupby("category")["truth"].agg(lambda names: names.value_counts().iloc[0])
    print(f"label accuracy {good.mean():.3f}, mean over true categories {by_true.mean():.3f}, "
          f"purity {tops.sum() / len(right):.3f}")  # fmt: skip
    for least in (0.5, 0.7, 0.9):
        sure = right["label_confidence"] >= least
        print(f"  label confidence {least}: accuracy {good[sure].mean():.3f} of {sure.sum()}")
    counts = right["truth"].value_counts()
    print("  " + "  ".join(f"{name} {by_true[name]:.2f} ({n})" for name, n in counts.items()))


if __name__ == "__main__":
    main()
