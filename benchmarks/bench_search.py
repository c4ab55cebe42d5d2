"""How good a search by object is, and the rule of what is offered, on boxed photos and titles.

    python benchmarks/bench_search.py --home HOME --source FASHION [--products 2000]

HOME holds a daily run over FASHION and its index. Street queries are the true boxes of
boxes_val.json, whose photos are pins too and are left out of their own results; product queries are
the dominant objects of products whose title names a colour, of every other pin of a board (the
others taught the detector). Searched are the boxed photos and --products products, each image once
by its best object. A result is right if its pin holds an object of the query's category (board, or
true box), and with colour if that object has its colour name: from the title of a product, for
true boxes from a random forest on Lab colours that was taught with titles. Intervals: 95 % by
drawing photos.

  whole image    cosine of whole images
  crop           pixels of the box, embedded like whole images, among pixels of the objects found
  random crop    boxes of the same sizes at random places of the query photo, described and searched
                 as objects are
  object         cosine of objects
  object, colour likeness: what `related-pins search` sorts by

The rule: objects found in the photos of boxes_train.json and boxes_val.json, searched with
`Searcher`; an object is good if three of its first five matches hold its true category (that of the
true box with an IoU of at least 0.5; without one it is not good).
"""

import argparse
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from machine import machine
from numpy.typing import NDArray
from PIL import Image as pil
from scipy.special import expit
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from features.boxes import iou
from features.detector.detector import Detections
from features.embedding.embedding import Embedder, cut
from features.images.images import load_image
from features.options import bars, visual_extractor
from features.search.agreement import OFFERED, signs
from features.search.index import VECTORS, open_index
from features.search.likeness import likeness
from features.search.quality import Kind, Truth, fitted, mean_of, precision, product_kinds
from features.search.query import Searcher
from features.visuals.store import Progress, VisualStore
from features.visuals.visuals import PinVisual, VisualExtractor
from sql.home import existing, feature_versions

Vectors = NDArray[np.float32]
Visuals = Mapping[str, PinVisual]
SHOWN, DEPTH, BATCH = 20, 400, 16


@dataclass(frozen=True, eq=False)
class Shelf:
    """Vectors `(N, E)` of entries, their colours `(N, 3)`, and the pin of each."""

    vectors: Vectors
    colours: Vectors
    pins: NDArray[np.object_]

    def ranked(self, query: Vectors, own: str, colour: Vectors | None = None) -> list[str]:
        """The first 20 pins but `own`, by the best of their entries."""
        cosines = self.vectors @ query
        rows = np.argpartition(-cosines, DEPTH)[:DEPTH]
        values = cosines[rows]
        if colour is not None:
            values = likeness(values, self.colours[rows], colour)
        pins = dict.fromkeys(self.pins[rows[np.argsort(-values)]])
        return [pin for pin in pins if pin != own][:SHOWN]

    def of(self, pins: Collection[str]) -> "Shelf":
        """The entries of these pins alone."""
        kept = np.array([pin in pins for pin in self.pins])
        return Shelf(self.vectors[kept], self.colours[kept], self.pins[kept])


@dataclass(frozen=True, eq=False)
class Query:
    """A box: of which pin, its kind, its vector in each way, and its colour."""

    pin: str
    kind: Kind
    vectors: dict[str, Vectors]
    colour: Vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--products", type=int, default=2000)
    parser.add_argument("--queries", type=int, default=800, help="of products")
    options = parser.parse_args()
    print(machine("torch", "faiss-cpu", "scikit-learn"))
    world = World(options.home, options.source, options.products)
    print(f"{len(world.photos['val'])} photos searched with, {len(world.shelved)} pins searched")
    print(
        f"colour names by pixels agree with titles for {world.named_right:.3f} of held-out products"
    )
    with bars() as progress:
        quality(world, options.queries, progress)
    rule(world)


class World:
    """The pins, what is known of them, and what of them is searched."""

    def __init__(self, home: Path, source: Path, n_products: int) -> None:
        database = existing(home, None)
        versions = feature_versions(database)
        self.home, self.source = home, source
        pins = pd.read_parquet(source / "pins.parquet").sort_values("pin_id")
        self.files = dict(zip(pins["pin_id"], pins["image"], strict=True))
        by_file = {file: pin for pin, file in self.files.items()}
        self.photos = {part: boxed(source / f"boxes_{part}.json", by_file)
                       for part in ("train", "val")}  # fmt: skip
        self.found = VisualStore(database, home, versions["detected"]).read(list(self.files))
        photos = [*self.photos["train"], *self.photos["val"]]
        self.true = VisualStore(database, home, versions["true_boxes"]).read(photos)
        products = product_kinds(pins["pin_id"], pins["title"], pins["board"])
        self.kinds: dict[str, list[Kind]] = {pin: list(some) for pin, some in products.items()}
        halves = pins[pins["pin_id"].isin(self.kinds)].groupby("board", sort=False)["pin_id"]
        self.taught = [pin for _, some in halves for pin in list(some)[::2]]
        self.held_out = [pin for _, some in halves for pin in list(some)[1::2]]
        self._name_boxes(photos)
        every = max(1, round(len(self.held_out) / n_products)) if n_products else 1
        self.shelved = [*self.held_out[::every], *photos]
        kinds = {pin: frozenset(some) for pin, some in self.kinds.items()}
        self.truth, self.judged = Truth({pin: kinds[pin] for pin in self.shelved}), Truth(kinds)

    def _name_boxes(self, photos: Sequence[str]) -> None:
        """Names the colours of true boxes as titles name those of alike products."""
        forest = RandomForestClassifier(200, min_samples_leaf=5, random_state=0)
        forest.fit(*self._titled(self.taught))
        colours, names = self._titled(self.held_out)
        self.named_right = float((forest.predict(colours) == names).mean())
        boxes = [self.true[pin] for pin in photos]
        named = iter(forest.predict(np.concatenate([visual.colours for visual in boxes])))
        for pin, visual in zip(photos, boxes, strict=True):
            self.kinds[pin] = [(name, str(next(named))) for name in visual.categories]

    def _titled(self, pins: Sequence[str]) -> tuple[Vectors, list[str]]:
        rows = [(self.found[pin], colour) for pin in pins for _, colour in self.kinds[pin]]
        rows = [(visual, colour) for visual, colour in rows if colour and len(visual.scores)]
        return np.stack([v.colours[v.dominant] for v, _ in rows]), [name for _, name in rows]


def quality(world: World, n_products: int, progress: Progress) -> None:
    """Prints precision of each way, for street and for product queries."""
    embedded, found = PixelCrops(world), {pin: world.found[pin] for pin in world.shelved}
    pixels = embedded.of({pin: v.boxes for pin, v in found.items()}, progress)
    true_pixels = embedded.of({pin: world.true[pin].boxes for pin in world.photos["val"]}, progress)
    shelves = {
        "whole image": shelf({pin: v.whole[None] for pin, v in found.items()}),
        "crop": shelf(pixels),
        "object": shelf({pin: getattr(v, VECTORS) for pin, v in found.items()},
                        {pin: v.colours for pin, v in found.items()}),
    }  # fmt: skip
    street = list(street_queries(world, true_pixels))
    products = list(product_queries(world, pixels, n_products))
    print(f"{'':37}category                                  category and colour")
    head = "  ".join(f"at {at:<2} [95 %]         " for at in (1, 5, 20))
    print(f"{'':37}{head}  {head}")
    only = {name: one.of(set(world.held_out)) for name, one in shelves.items()}
    for title, queries, some in (
        (f"{len(street)} street objects, all pins", street, shelves),
        (f"{len(street)} street objects, products", street, only),
        (f"{len(products)} products, all pins", products, shelves),
    ):
        print(title)
        for way in ("whole image", "crop", "random crop", "object", "object, colour"):
            if way in queries[0].vectors:
                line(way, queries, some[SHELF[way]], world.truth)


SHELF = {"whole image": "whole image", "crop": "crop", "random crop": "object",
         "object": "object", "object, colour": "object"}  # fmt: skip


def line(way: str, queries: Sequence[Query], searched: Shelf, truth: Truth) -> None:
    """Prints precision of one way with intervals."""
    lists = [
        searched.ranked(q.vectors[way], q.pin, q.colour if way == "object, colour" else None)
        for q in queries
    ]
    numbers = []
    for colour in (False, True):
        right = [truth.right(q.kind, some, colour=colour)
                 for q, some in zip(queries, lists, strict=True)]  # fmt: skip
        for at in (1, 5, 20):
            mean, low, high = mean_of(precision(right, at), [q.pin for q in queries])
            numbers.append(f"{mean:.3f} [{low:.3f}, {high:.3f}]")
    print(f"  {way:33}  " + "  ".join(numbers), flush=True)


def shelf(vectors: Mapping[str, Vectors], colours: Mapping[str, Vectors] | None = None) -> Shelf:
    pins = np.array([pin for pin, rows in vectors.items() for _ in rows], dtype=object)
    stacked = np.concatenate(list(vectors.values()))
    if colours is None:
        return Shelf(stacked, np.zeros((len(stacked), 3), dtype=np.float32), pins)
    return Shelf(stacked, np.concatenate(list(colours.values())), pins)


class PixelCrops:
    """Boxes embedded as the whole images are: pixels alone, nothing learned here."""

    def __init__(self, world: World) -> None:
        self.world, self.embedder = world, Embedder()

    def of(self, boxes: Mapping[str, Vectors], progress: Progress) -> dict[str, Vectors]:
        """Vectors of boxes of images, by pin; many images at a time, which is quicker."""
        found, pins = {}, list(boxes)
        for start in range(0, len(pins), BATCH):
            part = pins[start : start + BATCH]
            crops = [self._cut(pin, boxes[pin]) for pin in part]
            vectors = self.embedder.embed([crop for some in crops for crop in some])
            ends = np.cumsum([len(some) for some in crops])[:-1]
            found |= dict(zip(part, np.split(vectors, ends), strict=True))
            progress("pixels of crops", start + len(part), len(pins))
        return found

    def _cut(self, pin: str, boxes: Vectors) -> list[NDArray[np.uint8]]:
        picture = pil.fromarray(load_image(self.world.source / self.world.files[pin]).pixels)
        return [cut(picture, box, self.embedder.side) for box in boxes]


def street_queries(world: World, pixels: Mapping[str, Vectors]) -> Iterator[Query]:
    extractor, rng = visual_extractor("bundled", "lite0", "roi_align"), np.random.default_rng(7)
    for pin in world.photos["val"]:
        visual = world.true[pin]
        elsewhere = at_random(visual, extractor, world.source / world.files[pin], rng)
        for number, kind in enumerate(world.kinds[pin]):
            own = getattr(visual, VECTORS)[number]
            vectors = {"whole image": visual.whole, "crop": pixels[pin][number], "object": own,
                       "random crop": getattr(elsewhere, VECTORS)[number],
                       "object, colour": own}  # fmt: skip
            yield Query(pin, kind, vectors, visual.colours[number])


def at_random(
    visual: PinVisual, extractor: VisualExtractor, path: Path, rng: np.random.Generator
) -> PinVisual:
    """The same image with boxes of the same sizes at random places."""
    sizes = visual.boxes[:, 2:] - visual.boxes[:, :2]
    room = np.maximum([visual.width, visual.height] - sizes, 0)
    corners = (rng.random(sizes.shape) * room).astype(np.float32)
    boxes = np.concatenate([corners, corners + sizes], axis=1)
    there = Detections(boxes, visual.scores, visual.categories, visual.width, visual.height)
    return extractor.describe([load_image(path)], [there])[0]


def product_queries(world: World, pixels: Mapping[str, Vectors], n: int) -> Iterator[Query]:
    named = [pin for pin in world.shelved if len(world.kinds[pin]) == 1 and pin not in world.true]
    named = [pin for pin in named if world.kinds[pin][0][1] and len(world.found[pin].scores)]
    for pin in np.random.default_rng(7).permutation(named)[:n].tolist():
        visual, number = world.found[pin], world.found[pin].dominant
        own = getattr(visual, VECTORS)[number]
        vectors = {
            "whole image": visual.whole,
            "crop": pixels[pin][number],
            "object": own,
            "object, colour": own,
        }
        yield Query(pin, world.kinds[pin][0], vectors, visual.colours[number])


def rule(world: World) -> None:
    """Prints the constants fitted on train photos, and what they do on val photos."""
    version = visual_extractor("bundled", "lite0", "roi_align")
    searcher = Searcher(version, open_index(world.home, version.feature_version))
    print("\nThe rule of what is offered")
    weights, bias = (), 0.0
    for part in ("train", "val"):
        known, precise = judged(world, searcher, world.photos[part])
        good = precise >= 0.6
        if part == "train":
            weights, bias = fitted(known, good)
            print(f"fitted on train photos: weights {np.round(weights, 2)}, bias {bias:.2f}")
        chance = expit(known @ weights + bias)
        kept = chance >= OFFERED
        print(
            f"{part}: {len(good)} objects, AUC {roc_auc_score(good, chance):.3f}, offered "
            f"{kept.mean():.3f}; precision at 5 {precise[kept].mean():.3f} of those, "
            f"{precise[~kept].mean():.3f} of the others; good {good[kept].mean():.3f}, "
            f"{good[~kept].mean():.3f}"
        )
        for some in np.array_split(np.argsort(chance), 5):
            print(f"  {chance[some].mean():.2f} expected, {good[some].mean():.2f} good")


def judged(
    world: World, searcher: Searcher, photos: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Signs `(N, S)` of the objects found in the photos, and precision at 5 `(N,)`."""
    known, precise = [], []
    for pin in photos:
        true = world.true[pin]
        for one in searcher.results(world.found[pin], top=2 * SHOWN).objects:
            overlaps = iou(np.array(one.box, dtype=np.float32), true.boxes)
            right: list[bool] = []
            if len(overlaps) and overlaps.max() >= 0.5:
                kind = (true.categories[int(overlaps.argmax())], None)
                right = world.judged.right(kind, [m.pin_id for m in one.matches], colour=False)
            known.append(signs(one.score, one.matches))
            precise.append(precision([right], 5)[0])
    return np.stack(known), np.array(precise)


def boxed(path: Path, pins: Mapping[str, str]) -> list[str]:
    return [pins[photo["file_name"]] for photo in json.loads(path.read_text())["images"]]


if __name__ == "__main__":
    main()
