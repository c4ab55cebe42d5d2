"""Same-category retrieval: crops of objects against whole images, on products by their board.

    python benchmarks/bench_retrieval.py --source FOLDER [--products 1500]

Queries are objects in the hand-boxed photos of boxes_val.json, none of which was used in training;
what is searched is the catalogue's product pins. A neighbour is right if its board's category is
that of the query object. Whole images search with the photo that holds the object, so that every
way has the same queries and the same right answers. Objects are those whose true box has a found
box with an IoU of at least 0.5; `true box` crops use the true one, the rest the found one.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from machine import machine
from numpy.typing import NDArray

from features.boxes import iou
from features.catalogue import BOARDS
from features.detector import Detections, load_detector
from features.embedding import Embedder
from features.images import load_image
from features.neighbours import nearest
from features.store import VisualStore
from features.visuals import PinVisual, VisualExtractor, VisualSettings
from sql.database import open_database

GARMENT_BOARDS = {
    "tshirts": "top", "shirts": "top", "tops": "top", "sweaters": "top", "sweatshirts": "top",
    "trousers": "pants", "jeans": "pants", "track pants": "pants", "leggings": "pants",
    "jackets": "outerwear", "dresses": "dress", "skirts": "skirt", "shorts": "shorts",
    "scarves": "scarf", "mufflers": "scarf", "stoles": "scarf", "hat": "hat",
    "duffel bag": "bag", "messenger bag": "bag",
}  # fmt: skip
CATEGORY = {**BOARDS, **GARMENT_BOARDS}
MATCH = 0.5
Vectors = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--products", type=int, default=1500)
    options = parser.parse_args()
    source: Path = options.source
    with tempfile.TemporaryDirectory() as home:
        database = open_database(Path(home) / "related_pins.db")
        database.upgrade()
        photos, truth = true_objects(source / "boxes_val.json")
        products = spread_products(source, options.products)
        files = {name: source / name for name in (*photos, *products)}
        print(machine("torch", "timm", "faiss-cpu"))
        detector, embedder = load_detector(), Embedder()
        visuals: dict[str, dict[str, PinVisual]] = {}
        for pooling in ("crop", "roi_align"):
            extractor = VisualExtractor(detector, embedder, VisualSettings(pooling=pooling))
            store = VisualStore(database, Path(home), extractor.feature_version)
            started = time.perf_counter()
            store.refresh(files, extractor.extract)
            milliseconds = 1000 * (time.perf_counter() - started) / len(files)
            visuals[pooling] = store.read(list(files))
            dimension = len(next(iter(visuals[pooling].values())).whole)
            print(f"{pooling}: {milliseconds:.0f} ms per image, {2 * dimension} bytes per object")
        given = VisualExtractor(detector, embedder)
        report(visuals, true_crops(given, source, photos, truth), truth, products)


def true_objects(path: Path) -> tuple[list[str], dict[str, list[tuple[str, list[float]]]]]:
    """Photos, and the (category, xyxy box) of each object by photo."""
    coco = json.loads(path.read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    photos = {image["id"]: image["file_name"] for image in coco["images"]}
    found: dict[str, list[tuple[str, list[float]]]] = {name: [] for name in photos.values()}
    for row in coco["annotations"]:
        x, y, width, height = row["bbox"]
        box = [x, y, x + width, y + height]
        found[photos[row["image_id"]]].append((names[row["category_id"]], box))
    return list(found), found


def spread_products(source: Path, n: int) -> dict[str, str]:
    """Image -> category of n products, spread evenly over the catalogue; none seen in training."""
    import pyarrow.parquet as pq

    rows = pq.read_table(source / "pins.parquet", columns=["pin_id", "image", "board"]).to_pylist()
    unseen = []
    for board in sorted(CATEGORY):
        pins = sorted((row["pin_id"], row["image"]) for row in rows if row["board"] == board)
        unseen += [(image, CATEGORY[board]) for _, image in pins[1::2]]
    picked = np.linspace(0, len(unseen) - 1, min(n, len(unseen))).astype(int)
    return dict(unseen[row] for row in picked)


def true_crops(
    extractor: VisualExtractor,
    source: Path,
    photos: list[str],
    truth: dict[str, list[tuple[str, list[float]]]],
) -> dict[str, PinVisual]:
    crops = {}
    for photo in photos:
        image = load_image(source / photo)
        boxes = np.array([box for _, box in truth[photo]], dtype=np.float32).reshape(-1, 4)
        labels = tuple(category for category, _ in truth[photo])
        scores = np.ones(len(boxes), dtype=np.float32)
        given = Detections(boxes, scores, labels, image.width, image.height)
        (crops[photo],) = extractor.describe([image], [given])
    return crops


def report(
    visuals: dict[str, dict[str, PinVisual]],
    from_truth: dict[str, PinVisual],
    truth: dict[str, list[tuple[str, list[float]]]],
    products: dict[str, str],
) -> None:
    crop, pooled = visuals["crop"], visuals["roi_align"]
    answers = np.array(list(products.values()))
    asked = [
        (photo, number, match)
        for photo, objects in truth.items()
        for number, (category, box) in enumerate(objects)
        if category in set(answers) and (match := matching(crop[photo], box)) is not None
    ]
    wanted = np.array([truth[photo][number][0] for photo, number, _ in asked])
    n_all = sum(category in set(answers) for objects in truth.values() for category, _ in objects)
    print(f"{len(asked)} of {n_all} objects found in {len(truth)} photos; {len(products)} products")
    ways: dict[str, tuple[list[Vectors], list[Vectors]]] = {
        "whole image": (
            [crop[p].whole for p, _, _ in asked], [crop[p].whole for p in products]),
        "tight crop, true box": (
            [from_truth[p].crops[n] for p, n, _ in asked],
            [dominant(crop[p], "crops") for p in products]),
        "tight crop": (
            [crop[p].crops[m] for p, _, m in asked],
            [dominant(crop[p], "crops") for p in products]),
        "padded crop": (
            [crop[p].padded[m] for p, _, m in asked],
            [dominant(crop[p], "padded") for p in products]),
        "roi_align, whole": (
            [pooled[p].whole for p, _, _ in asked], [pooled[p].whole for p in products]),
        "roi_align, box": (
            [pooled[p].crops[m] for p, _, m in asked],
            [dominant(pooled[p], "crops") for p in products]),
    }  # fmt: skip
    print(f"{'same category':22} {'at 1':>6} {'at 10':>6}   at 1 by category of the query object")
    for name, (queries, shelf) in ways.items():
        right = answers[nearest(np.stack(shelf), np.stack(queries), 10)[1]] == wanted[:, None]
        by_category = "  ".join(
            f"{category} {right[wanted == category, 0].mean():.2f}"
            for category, _ in Counter(wanted).most_common()
        )
        print(f"{name:22} {right[:, 0].mean():6.3f} {right.mean():6.3f}   {by_category}")


def matching(visual: PinVisual, box: list[float]) -> int | None:
    """Number of the found object that overlaps a true box best, if by an IoU of at least 0.5."""
    overlap = iou(np.array(box, dtype=np.float32), visual.boxes)
    return int(overlap.argmax()) if len(overlap) and overlap.max() >= MATCH else None


def dominant(visual: PinVisual, way: str) -> Vectors:
    """The dominant object's vector, or the whole image's where there is no object."""
    vectors: Vectors = getattr(visual, way)
    return visual.whole if visual.dominant is None else vectors[visual.dominant]


if __name__ == "__main__":
    main()
