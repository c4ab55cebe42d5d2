"""Which vectors find alike objects: street objects in the catalogue, products among products.

    python benchmarks/bench_retrieval.py --source FOLDER [--products 1500] [--pooling roi_align]

Street queries are objects in the hand-boxed photos of boxes_val.json, searched in product pins; a
neighbour is right if its board's category is that of the query object. `true` pools the true box,
`found` the found box that overlaps it by an IoU of at least 0.5; whole images search with the photo
that holds the object. Product queries are products whose title names a colour, searched among the
others; a neighbour is right if it has the category and the title's colour. Neither the photos nor
the products (every other pin of a board) were learned from. Milliseconds are for reading, detecting
and describing what was found; what of that is for boxes alone stands in the first line.
"""

import argparse
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
from machine import machine
from numpy.typing import NDArray

from features.boxes import iou
from features.detector.catalogue import BOARDS
from features.detector.detector import Detections, load_detector
from features.embedding.embedding import Embedder
from features.embedding.projection import load_projection
from features.images.images import load_image
from features.visuals.visuals import PinVisual, VisualExtractor, VisualSettings
from features.weak.neighbours import nearest

MATCH = 0.5
BATCH = 16
COLOURS = (
    "navy blue", "black", "white", "blue", "brown", "grey", "red", "green", "pink", "purple",
    "silver", "yellow", "beige", "gold", "olive", "orange", "cream", "maroon", "tan",
)  # fmt: skip
Vectors = NDArray[np.float32]
Truth = dict[str, Detections]
Search = Callable[[Vectors, Vectors, int], NDArray[np.int64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--products", type=int, default=1500)
    parser.add_argument("--pooling", choices=["crop", "roi_align"], help="left out: both")
    options = parser.parse_args()
    print(machine("torch", "timm", "faiss-cpu"))
    truth = true_objects(options.source / "boxes_val.json")
    products = spread_products(options.source, options.products)
    n_objects, n_coloured = sum(len(t.scores) for t in truth.values()), products["colour"].count()
    print(f"{len(truth)} photos, {n_objects} objects")
    print(f"{len(products)} products, {n_coloured} with a colour")
    print(f"{'':34}  ms/  bytes/  category: true     found      category and colour")
    print(f"{'':34}photo  object     at 1  at 10  at 1  at 10   at 1  at 10")
    detector, embedder = load_detector(), Embedder()
    files = [*truth, *products["image"]]
    started = time.perf_counter()
    for part in parts(files):
        detector.detect([load_image(options.source / file) for file in part])
    boxed = 1000 * (time.perf_counter() - started) / len(files)
    print(f"{'boxes alone (reading, detecting)':34}{boxed:5.0f}")
    for pooling, padding in (("crop", 0.1), ("crop", 0.25), ("roi_align", 0.25)):
        if options.pooling not in (pooling, None):
            continue
        settings = VisualSettings(pooling=pooling, padding=padding)
        extractor = VisualExtractor(detector, embedder, settings)
        started = time.perf_counter()
        found = extracted(extractor, options.source, files)
        milliseconds = 1000 * (time.perf_counter() - started) / len(found)
        given = described(extractor, options.source, truth)
        name = f"{pooling}, {embedder.name}" if pooling == "crop" else "roi_align"
        if pooling == "crop" and padding == 0.1:
            line("whole image, lite0", found, given, truth, products, "whole", milliseconds)
            line(f"{name}, tight", found, given, truth, products, "crops", milliseconds)
        if pooling == "crop":
            line(f"{name}, {padding:.0%} context", found, given, truth, products, "padded",
                 milliseconds)  # fmt: skip
            continue
        learned = load_projection()
        short, short_given = (
            {name: visual.projected(learned) for name, visual in some.items()}
            for some in (found, given)
        )
        for what, some, exact in (("", found, given), (", learned", short, short_given)):
            line(f"roi_align{what}, tight", some, exact, truth, products, "crops", milliseconds)
            line(f"roi_align{what}, 25% context", some, exact, truth, products, "padded",
                 milliseconds)  # fmt: skip
        line("roi_align, learned, tight, binary", short, short_given, truth, products, "crops",
             milliseconds, hamming)  # fmt: skip


def true_objects(path: Path) -> Truth:
    """The true boxes by photo, as if they were found."""
    coco = json.loads(path.read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    rows = pd.DataFrame(coco["annotations"])
    truth = {}
    for image in coco["images"]:
        mine = rows[rows["image_id"] == image["id"]]
        boxes = np.array(mine["bbox"].tolist(), dtype=np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = tuple(names[number] for number in mine["category_id"])
        scores = np.ones(len(boxes), dtype=np.float32)
        size = image["width"], image["height"]
        truth[image["file_name"]] = Detections(boxes, scores, labels, *size)
    return truth


def spread_products(source: Path, n: int) -> pd.DataFrame:
    """image, category and colour (or None) of n products, spread over the catalogue."""
    pins = pd.read_parquet(source / "pins.parquet").sort_values("pin_id")
    boards = [pins[pins["board"] == board].iloc[1::2] for board in sorted(BOARDS)]
    unseen = pd.concat(boards)
    rows = unseen.iloc[np.linspace(0, len(unseen) - 1, min(n, len(unseen))).astype(int)]
    colours = rows["title"].str.extract(rf"\b({'|'.join(COLOURS)})\b", flags=re.IGNORECASE)[0]
    return pd.DataFrame({
        "image": rows["image"], "category": rows["board"].map(BOARDS), "colour": colours.str.lower()
    }).reset_index(drop=True)  # fmt: skip


def parts(files: list[str]) -> Iterator[list[str]]:
    return (files[start : start + BATCH] for start in range(0, len(files), BATCH))


def extracted(extractor: VisualExtractor, source: Path, files: list[str]) -> dict[str, PinVisual]:
    found = {}
    for part in parts(files):
        visuals = extractor.extract([load_image(source / file) for file in part])
        found |= dict(zip(part, visuals, strict=True))
    return found


def described(extractor: VisualExtractor, source: Path, truth: Truth) -> dict[str, PinVisual]:
    return {
        file: extractor.describe([load_image(source / file)], [boxes])[0]
        for file, boxes in truth.items()
    }


def hamming(shelf: Vectors, queries: Vectors, k: int) -> NDArray[np.int64]:
    """Rows of the k nearest by the signs of the numbers, a bit each."""
    index = faiss.IndexBinaryFlat(shelf.shape[1])
    index.add(np.packbits(shelf > 0, axis=1))
    return np.asarray(index.search(np.packbits(queries > 0, axis=1), k)[1])


def line(
    name: str,
    found: dict[str, PinVisual],
    given: dict[str, PinVisual],
    truth: Truth,
    products: pd.DataFrame,
    way: str,
    milliseconds: float,
    search: Search = lambda shelf, queries, k: nearest(shelf, queries, k)[1],
) -> None:
    """Prints one row of the table."""
    shelf = np.stack([product_vector(found[image], way) for image in products["image"]])
    categories = products["category"].to_numpy()
    scores = []
    for boxes in ("true", "found"):
        asked = queries_of(found, given, truth, way, boxes, set(categories))
        rows = search(shelf, np.stack([vector for vector, _ in asked]), 10)
        right = categories[rows] == np.array([category for _, category in asked])[:, None]
        scores += [right[:, 0].mean(), right.mean()]
    rows = search(shelf, shelf, 11)
    rows = np.stack([row[row != own][:10] for own, row in enumerate(rows)])
    named = products["colour"].notna().to_numpy()
    both = (products["category"] + " " + products["colour"].fillna("?")).to_numpy()
    right = (both[rows] == both[:, None])[named]
    scores += [right[:, 0].mean(), right.mean()]
    size = shelf.shape[1] // 8 if search is hamming else 2 * shelf.shape[1]
    numbers = "  ".join(f"{score:.3f}" for score in scores)
    print(f"{name:34}{milliseconds:5.0f}  {size:6}    {numbers}")


def queries_of(
    found: dict[str, PinVisual],
    given: dict[str, PinVisual],
    truth: Truth,
    way: str,
    boxes: str,
    categories: set[str],
) -> list[tuple[Vectors, str]]:
    """(vector, category) of each object of the photos, from its true or its found box."""
    asked = []
    for photo, objects in truth.items():
        for number, (category, box) in enumerate(zip(objects.labels, objects.boxes, strict=True)):
            visual, row = given[photo], number
            if boxes == "found":
                visual = found[photo]
                overlap = iou(box, visual.boxes)
                if not len(overlap) or overlap.max() < MATCH:
                    continue
                row = int(overlap.argmax())
            if category in categories:
                whole = way == "whole"
                asked.append((visual.whole if whole else getattr(visual, way)[row], category))
    return asked


def product_vector(visual: PinVisual, way: str) -> Vectors:
    """The dominant object's vector, or the whole image's where there is none."""
    if way == "whole":
        return visual.whole
    vectors: Vectors = getattr(visual, way)
    return visual.whole_crop if visual.dominant is None else vectors[visual.dominant]


if __name__ == "__main__":
    main()
