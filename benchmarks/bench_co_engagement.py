"""Do the pins that people saved from a pin's page lie near it? Recall of them by kind of vector.

    python benchmarks/bench_co_engagement.py --source FOLDER --home HOME --date DAY [--minutes 20]

HOME is what `related-pins daily` left for DAY. Of the requests in random order on its held-out days
(robots left out), the pins saved from a query pin's page are what is to be found: among the query
pin's candidates, and among all pins of the shelf. `dominant`: the dominant object against the
dominant object, the whole image where there is none; `any`: the best of all objects of the one
against all of the other. In brackets 95 % intervals over query pins (bootstrap).

Kinds of vectors that the home does not hold are made anew for the candidates of one query pin after
the other, in random order, for so many minutes; those candidates are then the shelf. The kinds that
it holds are also measured on all pins.
"""

import argparse
import datetime as dt
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
from machine import machine
from numpy.typing import NDArray
from PIL import Image as pil
from rich.progress import track

from features.boxes import pad
from features.detector.detector import load_detector
from features.embedding.embedding import Embedder, cut
from features.images.images import load_image
from features.visuals.store import VisualStore
from features.visuals.visuals import PinVisual, VisualSettings
from sql.database import open_database
from sql.home import feature_versions

Vectors = NDArray[np.float32]
Kind = Mapping[str, Vectors]  # pin -> (n, E)
REPLICATES, ROBOT = 1000, 300
SAVED = """
SELECT DISTINCT query_pin_id, candidate_pin_id FROM stg_impressions
WHERE date BETWEEN :first AND :last AND policy = 'random' AND save = 1 AND user_id NOT IN (
    SELECT user_id FROM requests WHERE date BETWEEN :first AND :last
    GROUP BY user_id, date HAVING COUNT(*) > :robot)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--date", type=dt.date.fromisoformat, required=True)
    parser.add_argument("--holdout-days", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=20)
    options = parser.parse_args()
    print(machine("torch", "timm", "faiss-cpu"))
    database = open_database(options.home / "related_pins.db")
    first = options.date - dt.timedelta(days=options.holdout_days - 1)
    saved = database.read(SAVED, first=first, last=options.date, robot=ROBOT).to_pandas()
    candidates = database.read("SELECT query_pin_id, candidate_pin_id FROM candidates").to_pandas()
    pins = database.read("SELECT pin_id, image FROM pins ORDER BY pin_id").to_pandas()
    store = VisualStore(database, options.home, feature_versions(database)["detected"] or "")
    visuals = store.read(pins["pin_id"].tolist())
    saved = saved[saved.isin(list(visuals)).all(axis=1)]
    everything = held(visuals)
    show(f"all {len(visuals):,} pins", everything, saved, candidates, list(visuals))
    files = {pin: options.source / file for pin, file in pins.itertuples(index=False)}
    made, done = made_anew(by_query(saved, candidates), visuals, files, 60 * options.minutes)
    shelf, asked = sorted(made["roi_align, plain, tight, any"]), saved["query_pin_id"].isin(done)
    show(f"a sample: {len(shelf):,} pins", everything | made, saved[asked], candidates, shelf)
    search_times(np.concatenate(list(everything["learned, tight, any"].values())))


def held(visuals: Mapping[str, PinVisual]) -> dict[str, Kind]:
    """The kinds of vectors that the home holds."""
    kinds: dict[str, Kind] = {"whole image, lite0": {p: v.whole[None] for p, v in visuals.items()}}
    kinds["whole image, learned"] = {p: v.whole_crop[None] for p, v in visuals.items()}
    for way, name in (("crops", "learned, tight"), ("padded", "learned, 25% context")):
        kinds |= of_objects(name, visuals, {p: getattr(v, way) for p, v in visuals.items()},
                            {p: v.whole_crop for p, v in visuals.items()})  # fmt: skip
    bits = {pin: np.where(some > 0, 1, -1).astype(np.float32) / np.sqrt(some.shape[1])
            for pin, some in kinds["learned, tight, any"].items()}  # fmt: skip
    return kinds | {"learned, tight, any, 128 bits": bits}


def of_objects(
    name: str, visuals: Mapping[str, PinVisual], objects: Kind, whole: Mapping[str, Vectors]
) -> dict[str, Kind]:
    """The kind by dominant object and by any object; the whole image where there is none."""
    ruling = {
        pin: whole[pin][None] if v.dominant is None else objects[pin][v.dominant][None]
        for pin, v in visuals.items()
    }
    every = {pin: objects[pin] if len(objects[pin]) else whole[pin][None] for pin in visuals}
    return {f"{name}, dominant": ruling, f"{name}, any": every}


def by_query(saved: pd.DataFrame, candidates: pd.DataFrame) -> dict[str, list[str]]:
    """The query pins in random order, each with itself and its candidates."""
    offered = dict(list(candidates.groupby("query_pin_id")["candidate_pin_id"]))
    order = np.random.default_rng(7).permutation(sorted(set(saved["query_pin_id"])))
    return {str(query): [query, *offered[query]] for query in order}


def made_anew(
    pages: Mapping[str, list[str]], visuals: Mapping[str, PinVisual], files: Mapping[str, Path],
    seconds: float,
) -> tuple[dict[str, Kind], list[str]]:  # fmt: skip
    """Crops by the frozen embedder and the detector's features without a projection, of the pages
    done in time; and their query pins."""
    detector, embedder, end = load_detector(), Embedder(), time.monotonic() + seconds
    tight, padded, plain, whole = {}, {}, {}, {}
    done: list[str] = []
    for query, page in track(pages.items(), "vectors made anew"):
        if time.monotonic() > end:
            break
        new = [pin for pin in page if pin in visuals and pin not in whole]
        images = [load_image(files[pin]) for pin in new]
        boxes = [regions(visuals[pin]) for pin in new]
        pooled = detector.pool(images, boxes)
        for pin, image, mine, rows in zip(new, images, boxes, pooled, strict=True):
            n = len(visuals[pin].scores)
            whole[pin], plain[pin] = rows[0], rows[1 : 1 + n]
            picture = pil.fromarray(image.pixels)
            cuts = embedder.embed([cut(picture, box, embedder.side) for box in mine[1:]])
            tight[pin], padded[pin] = cuts[:n], cuts[n:]
        done.append(query)
    described = {pin: visuals[pin] for pin in whole}
    wholes = {pin: v.whole for pin, v in described.items()}
    return {
        **of_objects("crop, lite0, tight", described, tight, wholes),
        **of_objects("crop, lite0, 25% context", described, padded, wholes),
        **of_objects("roi_align, plain, tight", described, plain, whole),
    }, done


def regions(visual: PinVisual) -> Vectors:
    """The whole image, the boxes, the boxes with context."""
    whole = np.array([[0, 0, visual.width, visual.height]], dtype=np.float32)
    wide = pad(visual.boxes, VisualSettings().padding, visual.width, visual.height)
    return np.concatenate([whole, visual.boxes, wide]).astype(np.float32)


def show(
    title: str, kinds: Mapping[str, Kind], saved: pd.DataFrame, candidates: pd.DataFrame,
    shelf: list[str],
) -> None:  # fmt: skip
    """One table: a line per kind, the last column its difference from the first kind."""
    queries = sorted(set(saved["query_pin_id"]))
    wanted, offered = (table(rows, queries, shelf) for rows in (saved, candidates))
    own = np.array(queries)[:, None] == np.array(shelf)
    print(f"\n{title}; {len(queries):,} query pins, {int(wanted.sum()):,} pins saved from them")
    titles = ("candidates @10", "all @10", "all @50", "candidates @10, more than the first")
    print(f"{'':36}{'bytes':>6}  " + "".join(f"{title:23}" for title in titles))
    chance = [10 / offered.sum(axis=1).mean(), 10 / len(shelf), 50 / len(shelf)]
    print(f"{'by chance':36}{'':6}  " + "".join(f"{value:<23.3f}" for value in chance))
    first = None
    for name, kind in kinds.items():
        likeness = np.where(own, -np.inf, likenesses(kind, queries, shelf))
        among = np.where(offered, likeness, -np.inf)
        found = [recalls(among, wanted, 10), recalls(likeness, wanted, 10),
                 recalls(likeness, wanted, 50)]  # fmt: skip
        first = found[0] if first is None else first
        found.append(found[0] - first)
        width = next(iter(kind.values())).shape[1]
        size = width // 8 if name.endswith("bits") else 2 * width
        print(f"{name:36}{size:6}  " + "  ".join(map(with_interval, found)))


def table(rows: pd.DataFrame, queries: list[str], shelf: list[str]) -> NDArray[np.bool_]:
    """`(Q, P)`: which pins of the shelf belong to which query pin."""
    marks = np.zeros((len(queries), len(shelf)), dtype=bool)
    at = pd.Index(queries).get_indexer(rows["query_pin_id"])
    to = pd.Index(shelf).get_indexer(rows["candidate_pin_id"])
    known = (at >= 0) & (to >= 0)
    marks[at[known], to[known]] = True
    return marks


def likenesses(kind: Kind, queries: list[str], shelf: list[str]) -> Vectors:
    """`(Q, P)`: the highest cosine of any vector of the query pin with any of the other."""
    of_query, starts = stacked(kind, queries)
    of_shelf, columns = stacked(kind, shelf)
    best = np.maximum.reduceat(of_query @ of_shelf.T, columns, axis=1)
    return np.asarray(np.maximum.reduceat(best, starts, axis=0))


def stacked(kind: Kind, pins: list[str]) -> tuple[Vectors, NDArray[np.int64]]:
    """All vectors of the pins, and the row at which each pin begins."""
    counts = np.array([len(kind[pin]) for pin in pins])
    return np.concatenate([kind[pin] for pin in pins]), np.cumsum(counts) - counts


def recalls(likeness: Vectors, wanted: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """Per query the share of the wanted that is among the k most alike."""
    top = np.argsort(-likeness, axis=1, kind="stable")[:, :k]
    return np.asarray(np.take_along_axis(wanted, top, axis=1).sum(axis=1) / wanted.sum(axis=1))


def with_interval(values: NDArray[np.float64]) -> str:
    rng, n = np.random.default_rng(0), len(values)
    means = rng.multinomial(n, np.full(n, 1 / n), size=REPLICATES) @ values / n
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def search_times(vectors: Vectors) -> None:
    """The same objects searched by cosine and by Hamming distance, interleaved."""
    flat, binary = faiss.IndexFlatIP(vectors.shape[1]), faiss.IndexBinaryFlat(vectors.shape[1])
    bits = np.packbits(vectors > 0, axis=1)
    flat.add(vectors)
    binary.add(bits)
    seconds = np.array(list(timed(flat, vectors[:500], binary, bits[:500])))
    cosine, hamming = np.median(seconds, axis=0) * 1000 / 500
    print(f"\n{len(vectors):,} objects, exact search of 50, per query: cosine {cosine:.3f} ms, "
          f"Hamming {hamming:.3f} ms, ratio {cosine / hamming:.1f}")  # fmt: skip


def timed(
    flat: faiss.IndexFlatIP, vectors: Vectors, binary: faiss.IndexBinaryFlat,
    bits: NDArray[np.uint8],
) -> Iterator[tuple[float, float]]:  # fmt: skip
    for _ in range(7):
        start = time.perf_counter()
        flat.search(vectors, 50)
        middle = time.perf_counter()
        binary.search(bits, 50)
        yield middle - start, time.perf_counter() - middle


if __name__ == "__main__":
    main()
