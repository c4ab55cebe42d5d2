"""Images per second of the engines: this process alone, two processes, Ray; the same photos.

    OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=10000 python benchmarks/bench_engines.py [FOLDER]

Every engine describes all photos into a fresh folder, in shards of 16, interleaved; images/s are of
all of it. 'start' is what two shards of one photo take, in which workers load torch; Ray itself has
been started before. The shards of all engines are compared byte by byte. One process uses all cores
by its threads. On a machine that is busy with other work only the seconds of CPU can be compared.
The two variables are what the commands set.
"""

import argparse
import hashlib
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_visuals import drawn, spread
from machine import machine

from features.engine.engine import Engine, Loop
from features.engine.processes import Processes
from features.engine.ray_data import RayData
from features.options import visual_extractor
from features.visuals.describing import Files, ShardMaker

SHARD = 16


@dataclass(frozen=True)
class Measured:
    """Makes a shard; tells the seconds of CPU it took and its process's peak memory in GB."""

    make: ShardMaker

    def __call__(self, piece: Files) -> tuple[float, float]:
        started = time.process_time()
        self.make(piece)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        return time.process_time() - started, peak


def run(engine: Engine, pieces: Sequence[Files], home: Path) -> tuple[float, float, float]:
    """(seconds, seconds of CPU for the shards, peak memory of a worker in GB)."""
    extractor = visual_extractor("bundled", "lite0", "roi_align")
    work = Measured(ShardMaker(extractor.extract, home, "v"))
    started = time.perf_counter()
    told = list(engine.run(work, pieces, gpu=True))
    assert len(told) == len(pieces)
    cpu, peaks = zip(*told, strict=True)
    return time.perf_counter() - started, sum(cpu), max(peaks)


def shards(home: Path) -> Mapping[str, str]:
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in home.rglob("*.*")
        if p.suffix in (".arrow", ".parquet")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    engines: dict[str, Engine] = {
        "this process": Loop(),
        "2 processes": Processes(2),
        "Ray, 2 actors": RayData(2),
    }
    measured: dict[str, list[tuple[float, ...]]] = {name: [] for name in engines}
    print(machine("torch", "ray"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or drawn(Path(scratch), options.images)
        files = spread(sorted(folder.glob("*.jpg")), options.images)
        named = {hashlib.sha256(file.read_bytes()).hexdigest(): file for file in files}
        contents = sorted(named)
        pieces = [
            Files({content: named[content] for content in contents[start : start + SHARD]})
            for start in range(0, len(contents), SHARD)
        ]
        few = [Files({content: named[content]}) for content in contents[:2]]
        run(engines["Ray, 2 actors"], few, Path(scratch))
        found = []
        for number in range(options.rounds):
            for name, engine in engines.items():
                home = Path(scratch) / f"{name} {number}"
                start, *_ = run(engine, few, Path(scratch) / f"{name} {number} few")
                measured[name].append((start, *run(engine, pieces, home)))
                found.append(shards(home))
    print(
        f"{len(files)} images, {options.rounds} interleaved rounds, medians; load average "
        f"{os.getloadavg()[0]:.1f}; same bytes: {all(one == found[0] for one in found)}"
    )
    for name, values in measured.items():
        start, total, cpu, peak = (
            statistics.median(column) for column in zip(*values, strict=True)
        )
        print(
            f"  {name:14} {len(files) / total:6.2f} images/s, start {start:5.1f} s, "
            f"{1000 * cpu / len(files):4.0f} ms of CPU an image, {peak:.1f} GB a worker"
        )


if __name__ == "__main__":
    import bench_engines  # by this name workers find it too

    bench_engines.main()
