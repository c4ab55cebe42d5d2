"""Image files -> a visual shard: what a worker does, in any process of any machine."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from features.devices import batch_size
from features.images.images import Image, UnreadableImage, try_image
from features.visuals.shards import SUFFIX, write_shard
from features.visuals.visuals import PinVisual
from sql.manifest import fingerprint

MakeVisuals = Callable[[Sequence[Image]], list[PinVisual]]
Tick = Callable[[int], None]


@dataclass(frozen=True)
class Files:
    """Image files by their content hash, in the order of the shard they become."""

    files: dict[str, Path]


@dataclass(frozen=True)
class Shard:
    """A shard that is written: its name, its path under home (None where no file is an image), the
    content hashes in it, and why the others are no images.
    """

    name: str
    path: str | None
    contents: tuple[str, ...]
    unreadable: dict[str, str]

    def __len__(self) -> int:
        """Files that were looked at."""
        return len(self.contents) + len(self.unreadable)


class ShardMaker:
    """Makes the shards of one feature version under home. Pickled, it goes to another process and
    leaves `tick` behind, which is called with the number of files that are done.
    """

    def __init__(
        self, make: MakeVisuals, home: Path, feature_version: str, tick: Tick | None = None
    ) -> None:
        self.make, self.home, self.feature_version = make, home.absolute(), feature_version
        self.tick = tick

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return ShardMaker, (self.make, self.home, self.feature_version)

    def __call__(self, piece: Files) -> Shard:
        contents, bad = list(piece.files), dict[str, str]()
        files = list(piece.files.values())
        visuals = describe_files(files, contents, self.make, bad, self.tick)
        return written(self.home, self.feature_version, contents, visuals, bad)


def written(
    home: Path, feature_version: str, contents: Sequence[str], visuals: Sequence[PinVisual],
    unreadable: dict[str, str],
) -> Shard:  # fmt: skip
    """The visuals of images with these content hashes as a shard under home."""
    name = fingerprint(*contents)
    path = f"visuals/{feature_version}/{name}{SUFFIX}" if visuals else None
    if path is not None:
        write_shard(home / path, visuals, unreadable)
    return Shard(name, path, tuple(visual.content_hash for visual in visuals), unreadable)


def describe_files(
    files: Sequence[Path],
    contents: Sequence[str],
    make: MakeVisuals,
    bad: dict[str, str],
    tick: Tick | None,
    decoders: Executor | None = None,
) -> list[PinVisual]:
    """Visuals of the files that are images, in order; images are decoded two batches ahead.

    contents: content hash of each file. Why the others are no images goes into `bad`, by content
    hash. tick is called with the number of files that are done. decoders: who decodes, by default
    threads, or Ray's CPU tasks in a worker of Ray that has a GPU.
    """
    visuals: list[PinVisual] = []
    size = batch_size()
    with decoders or _decoders() as pool:
        batches = [slice(start, start + size) for start in range(0, len(files), size)]
        loading = [[pool.submit(try_image, path) for path in files[batch]] for batch in batches[:2]]
        for number, batch in enumerate(batches):
            if number + 2 < len(batches):
                ahead = files[batches[number + 2]]
                loading.append([pool.submit(try_image, path) for path in ahead])
            loaded = [future.result() for future in loading[number]]
            loading[number] = []
            images = []
            for content, result in zip(contents[batch], loaded, strict=True):
                if isinstance(result, UnreadableImage):
                    bad[content] = str(result)
                else:
                    images.append(result)
            visuals += make(images) if images else []
            if tick is not None:
                tick(min(batch.stop, len(files)))
    return visuals


def _decoders() -> Executor:
    if not torch.cuda.is_available():
        return ThreadPoolExecutor(2)
    if "ray" in sys.modules:
        from features.engine.ray_data import cpu_tasks

        if tasks := cpu_tasks():
            return tasks
    return ThreadPoolExecutor(max(2, torch.get_num_threads()))
