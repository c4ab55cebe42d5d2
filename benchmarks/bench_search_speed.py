"""One image to results among 200,000 objects, against the plain way that one would write first.

    python benchmarks/bench_search_speed.py --home HOME --source FASHION [--objects 200000]

The index is filled from the visuals of a home: its images again and again under new names, the
vectors of an object moved by the way from the tight to the padded crop of another object of its
category, 0.5 to 1.5 times, those of whole images a third of the way to another image. Searched with
are photos of boxes_val.json, from the file to matches of every object and of the whole image.

The plain way: decode, torchvision's Faster R-CNN with the same weights in float32, one call of timm
for each crop, a dot product of NumPy and a full sort's argpartition over as many vectors of 1,280
numbers (their values do not change its time). Each way goes over all photos by itself after a
warm-up, as it would in a service: photo by photo in turn, the plain way's memory and kernels slowed
ours down threefold. cpu: seconds of all cores that the process spent, which other programs disturb
less than the clock.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import timm
import torch
from bench_visuals import same_detector
from machine import machine
from numpy.typing import NDArray
from PIL import Image as pil
from torchvision.transforms.functional import to_tensor

from features.embedding.backbone import MEAN, STD, lite0
from features.embedding.embedding import unit
from features.images.images import load_image
from features.options import visual_extractor
from features.search.build import build_index
from features.search.index import open_index
from features.search.query import Searcher
from features.visuals.shards import read_shard, write_shard
from features.visuals.store import as_rows
from features.visuals.visuals import PinVisual, VisualSettings
from sql.database import Database, open_database
from sql.tables import pin_visuals

SHARD, TOP, WARM_UP = 2048, 20, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--objects", type=int, default=200_000)
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    print(machine("torch", "torchvision", "timm", "faiss-cpu", "numpy"))
    boxed = json.loads((options.source / "boxes_val.json").read_text())["images"]
    files = [options.source / photo["file_name"] for photo in boxed][: options.images]
    extractor = visual_extractor("bundled", "lite0", "roi_align")
    with tempfile.TemporaryDirectory() as folder:
        home, version = Path(folder), extractor.feature_version
        database = open_database(home / "related_pins.db")
        database.upgrade()
        fill(database, home, options.home / "visuals" / version, version, options.objects)
        started = time.perf_counter()
        build_index(database, home, version)
        seconds = time.perf_counter() - started
        searcher = Searcher(extractor, open_index(home, version))
        index = searcher.index
        print(f"{index.n_objects:,} objects, {index.n_images:,} images, built in {seconds:.0f} s")
        compare(searcher, files)


def fill(database: Database, home: Path, visuals: Path, version: str, n_objects: int) -> None:
    """Shards and rows of images with at least `n_objects` objects."""
    real = [v for path in sorted(visuals.iterdir()) for v in read_shard(path)]
    copies = -(-n_objects // sum(len(v.scores) for v in real))
    for number, part in enumerate(cut_up(moved(real, copies))):
        path = f"visuals/{version}/{number}.arrow"
        write_shard(home / path, part)
        rows = [
            dict.fromkeys(pin_visuals.c.keys())
            | {"feature_version": version, "pin_id": f"pin of {v.content_hash}",
               "content_hash": v.content_hash, "shard": path}
            for v in part
        ]  # fmt: skip
        database.append(pin_visuals, as_rows(pin_visuals, rows))


def moved(real: Sequence[PinVisual], copies: int) -> Iterator[PinVisual]:
    """The images, and copies of them whose vectors are moved."""
    rng = np.random.default_rng(7)
    steps: dict[str, list[NDArray[np.float32]]] = {}
    for visual in real:
        for name, step in zip(visual.categories, visual.padded - visual.crops, strict=True):
            steps.setdefault(name, []).append(step)
    yield from real
    for copy in range(1, copies):
        for visual in real:
            chosen = [steps[name][rng.integers(len(steps[name]))] for name in visual.categories]
            way = np.array(chosen, dtype=np.float32).reshape(visual.crops.shape)
            way *= rng.uniform(0.5, 1.5, (len(way), 1)).astype(np.float32)
            other = real[rng.integers(len(real))]
            yield replace(
                visual,
                content_hash=f"{copy} {visual.content_hash}",
                whole=unit((2 * visual.whole + other.whole)[None])[0],
                crops=unit(visual.crops + way),
                padded=unit(visual.padded + way),
            )


def cut_up(visuals: Iterator[PinVisual]) -> Iterator[list[PinVisual]]:
    part: list[PinVisual] = []
    for visual in visuals:
        part.append(visual)
        if len(part) == SHARD:
            yield part
            part = []
    if part:
        yield part


def compare(searcher: Searcher, files: Sequence[Path]) -> None:
    """Prints milliseconds per image of both ways, and of the parts of ours."""
    described = {file: searcher.extractor.extract([load_image(file)])[0] for file in files}
    ways: dict[str, Callable[[Path], object]] = {
        "ours": lambda file: searcher.search(load_image(file), top=TOP),
        "ours: decode, detect, describe": lambda file: searcher.extractor.extract(
            [load_image(file)]
        ),
        "ours: search and merge": lambda file: searcher.results(described[file], top=TOP),
        "plain": plain_way(searcher.index.n_objects),
    }
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for name, way in ways.items():
        for file in files[:WARM_UP]:
            way(file)
        for file in files:
            started, spent = time.perf_counter(), time.process_time()
            way(file)
            wall[name].append(1000 * (time.perf_counter() - started))
            cpu[name].append(1000 * (time.process_time() - spent))
    n_objects = np.mean([len(visual.scores) for visual in described.values()])
    load = os.getloadavg()[0]
    print(f"{len(files)} photos, {n_objects:.1f} objects each; load average {load:.1f}")
    print(f"{'ms per image':34}median     p99  cpu median  cpu p99  x of cpu")
    for name in ways:
        ratio = np.median(cpu[name]) / np.median(cpu["ours"])
        print(
            f"  {name:30}{np.median(wall[name]):8.0f}{np.percentile(wall[name], 99):8.0f}"
            f"{np.median(cpu[name]):12.0f}{np.percentile(cpu[name], 99):9.0f}{ratio:10.1f}"
        )


def plain_way(n_objects: int) -> Callable[[Path], list[NDArray[np.int64]]]:
    """The plain way over random vectors."""
    detector, embedder, settings = same_detector(), lite0(), VisualSettings()
    transform = timm.data.create_transform((3, 224, 224), mean=MEAN, std=STD, crop_pct=1.0)
    shelf = np.random.default_rng(0).standard_normal((n_objects, 1280), dtype=np.float32)
    shelf /= np.linalg.norm(shelf, axis=1, keepdims=True)

    def search(file: Path) -> list[NDArray[np.int64]]:
        image = pil.open(file).convert("RGB")
        with torch.no_grad():
            found = detector([to_tensor(image)])[0]
            kept = found["boxes"][found["scores"] >= settings.min_score][: settings.max_objects]
            crops = [image, *(image.crop(tuple(box)) for box in kept.tolist())]
            vectors = [embedder(transform(crop)[None])[0].numpy() for crop in crops]
        return [np.argpartition(-(shelf @ vector), TOP)[:TOP] for vector in vectors]

    return search


if __name__ == "__main__":
    main()
