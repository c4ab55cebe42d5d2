"""Work for engines in other processes: slow work, work that fails, work that kills its process.

Only what describes images loads torch.
"""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from features.images.images import Image
    from features.visuals.visuals import PinVisual


def double(piece: int) -> int:
    if piece == 13:
        raise ValueError("13 cannot be doubled.")
    return 2 * piece


def gpus_and_decoding(piece: int) -> tuple[list[str], bool]:
    """The GPUs that Ray gave to this worker, and whether images are decoded by tasks elsewhere."""
    import ray

    from features.engine.ray_data import cpu_tasks

    time.sleep(0.2)
    return [str(gpu) for gpu in ray.get_gpu_ids()], cpu_tasks() is not None


@dataclass(frozen=True)
class Deadly:
    """Doubles numbers; kills its process at 5, as often as files are in the folder."""

    folder: Path

    def __call__(self, piece: int) -> int:
        for life in list(self.folder.iterdir()) if piece == 5 else ():
            with suppress(FileNotFoundError):  # another worker took it
                life.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        return 2 * piece


@dataclass(frozen=True)
class Describe:
    """The quick extractor's visuals. Each call waits, and leaves a file named by its process in the
    folder; the call that begins when there are `last` files kills its process.
    """

    folder: Path
    seconds: float = 0.0
    last: int = -1

    def __call__(self, images: Sequence["Image"]) -> "list[PinVisual]":
        from tests.quick_visuals import quick_extractor

        time.sleep(self.seconds)
        before = len(list(self.folder.iterdir()))
        (self.folder / f"{before}-{os.getpid()}-{images[0].content_hash[:8]}").touch()
        if before == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        return quick_extractor().extract(images)
