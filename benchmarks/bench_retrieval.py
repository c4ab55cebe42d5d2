"""Same-category retrieval: crops of objects against whole images, on products by their board.

    python benchmarks/bench_retrieval.py --source FOLDER --home HOME

Queries are the hand-boxed objects of photos (true boxes) of which none was used in training
(boxes_val.json); the searched items are the catalogue's product pins. A neighbour is right if its
board's category is that of the query object. Whole images search with the photo that holds the
object, so that each query has the same right answers in both.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
from machine import machine
from numpy.typing import NDArray

from features.catalogue import BOARDS
from features.neighbours import nearest
from features.store import VisualStore
from features.visuals import PinVisual
from sql.database import Database, open_database

GARMENT_BOARDS = {
    "tshirts": "top", "shirts": "top", "tops": "top", "sweaters": "top", "sweatshirts": "top",
    "trousers": "pants", "jeans": "pants", "track pants": "pants", "leggings": "pants",
    "jackets": "outerwear", "dresses": "dress", "skirts": "skirt", "shorts": "shorts",
    "scarves": "scarf", "mufflers": "scarf", "stoles": "scarf", "hat": "hat",
    "duffel bag": "bag", "messenger bag": "bag",
}  # fmt: skip
CATEGORY = {**BOARDS, **GARMENT_BOARDS}
WAYS = ("whole", "crops", "padded")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    options = parser.parse_args()
    database = open_database(options.home / "related_pins.db")
    boards = database.read("SELECT pin_id, image, board FROM pins").to_pylist()
    unseen = {photo["file_name"] for photo in
              json.loads((options.source / "boxes_val.json").read_text())["images"]}  # fmt: skip
    queries = [row["pin_id"] for row in boards if row["image"] in unseen]
    products = {row["pin_id"]: CATEGORY[row["board"]] for row in boards
                if row["board"] in CATEGORY}  # fmt: skip
    print(machine("torch", "timm", "faiss-cpu"))
    for kind in ("true_boxes", "detected"):
        report(database, options.home, kind, queries, products)


def report(
    database: Database, home: Path, kind: str, queries: list[str], products: dict[str, str]
) -> None:
    versions = {row["piece"]: row["feature_version"] for row in database.read(
        "SELECT piece, feature_version FROM manifest WHERE step = 'feature_version'"
    ).to_pylist()}  # fmt: skip
    items = VisualStore(database, home, versions["detected"]).read(sorted(products))
    photos = VisualStore(database, home, versions[kind]).read(queries)
    answers = np.array([products[pin] for pin in items])
    known = set(answers)
    asked = [(v, row) for v in photos.values() for row, name in enumerate(v.categories)
             if name in known]  # fmt: skip
    wanted = np.array([v.categories[row] for v, row in asked])
    counts = Counter(wanted)
    print(f"\n{kind}: {len(asked)} objects of {len(photos)} unseen photos, {len(items)} products")
    print(f"{'precision':12} {'at 1':>6} {'at 10':>6}   at 1 by category")
    for way in WAYS:
        found = np.stack([vector(v, row, way) for v, row in asked])
        shelf = np.stack([vector(v, v.dominant, way) for v in items.values()])
        right = answers[nearest(shelf, found, 10)[1]] == wanted[:, None]
        by_category = "  ".join(
            f"{name} {right[wanted == name, 0].mean():.2f}" for name, _ in counts.most_common()
        )
        print(f"{way:12} {right[:, 0].mean():6.3f} {right.mean():6.3f}   {by_category}")


def vector(visual: PinVisual, row: int | None, way: str) -> NDArray[np.float32]:
    """The whole image, or an object's crop; the whole image where there is no object."""
    return visual.whole if way == "whole" or row is None else getattr(visual, way)[row]


if __name__ == "__main__":
    main()
