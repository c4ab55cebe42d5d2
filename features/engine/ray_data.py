"""The engine of Ray Data, on a cluster or on this machine: an actor per worker, which unpickles the
work once and is started again where it is killed. Importing this module loads Ray.

https://docs.ray.io/en/latest/data/transforming-data.html#stateful-transforms
"""

import logging
import math
import os
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import chain, islice
from typing import Any

# have to be said before Ray is loaded; its C++ part writes to stderr what comes as exceptions too
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import ray
import ray.data

from features.engine.engine import Piece, Result, WorkerLost

TRIES = 3
STORE_BYTES = 256 * 2**20  # where no pixels go through the store


class RayData:
    """Ray's actors. With GPUs one for each, or as many as `workers` says, which share them; images
    are decoded by Ray's tasks on CPUs. Else one for each CPU, at most `workers`.
    """

    def __init__(self, workers: int | None) -> None:
        self.workers = workers

    def run(
        self, work: Callable[[Piece], Result], pieces: Iterable[Piece], *, gpu: bool = False
    ) -> Iterator[Result]:
        waiting = iter(pieces)
        first = list(islice(waiting, 1))
        if not first:
            return
        _connect()
        refs = [ray.put(pickle.dumps(piece)) for piece in chain(first, waiting)]
        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        gpus = int(there.get("GPU", 0)) if gpu else 0
        cpus = int(there["CPU"])
        size = min(len(refs), self.workers or gpus or cpus, cpus if not gpus else len(refs))
        tries = _Tries.remote()  # type: ignore[attr-defined]
        done = ray.data.range(len(refs), override_num_blocks=len(refs)).map(
            _Worker,  # type: ignore[arg-type]
            fn_constructor_args=(ray.put(pickle.dumps(work)), refs, tries),
            compute=ray.data.ActorPoolStrategy(size=size),
            num_cpus=0 if gpus else 1,
            num_gpus=gpu_share(size, gpus) if gpus else 0,
        )
        try:
            for row in done.iter_rows():
                result = pickle.loads(row["result"])
                if row["failed"]:
                    raise result
                yield result
        finally:
            ray.kill(tries)


def gpu_share(workers: int, gpus: int) -> float:
    """The part of a GPU that each worker has, so that all find room.

    >>> [gpu_share(workers, 2) for workers in (1, 2, 3, 8)]
    [1.0, 1.0, 0.5, 0.25]
    """
    return 1 / max(1, math.ceil(workers / gpus))


class _Worker:
    def __init__(
        self, work: "ray.ObjectRef[bytes]", pieces: "list[ray.ObjectRef[bytes]]", tries: Any
    ) -> None:
        self.blob, self.pieces, self.tries = work, pieces, tries
        self.work: Callable[[Any], Any] | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            if ray.get(self.tries.another.remote(row["id"])) > TRIES:
                raise WorkerLost(TRIES)
            self.work = self.work or pickle.loads(ray.get(self.blob))
            result = self.work(pickle.loads(ray.get(self.pieces[row["id"]])))
            return {"failed": False, "result": pickle.dumps(result)}
        except Exception as error:  # as it is, without what Ray would write around it
            return {"failed": True, "result": pickle.dumps(error)}


@ray.remote(num_cpus=0)
class _Tries:
    """How often each piece was begun: Ray would begin one that kills its worker for ever."""

    def __init__(self) -> None:
        self.times = Counter[int]()

    def another(self, number: int) -> int:
        self.times[number] += 1
        return self.times[number]


class CpuTasks(Executor):
    """Calls functions as Ray's tasks, each on a CPU somewhere in the cluster."""

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        called: Future[Any] = _call.remote(function, *arguments, **named).future()
        return called


@ray.remote
def _call(function: Any, *arguments: Any, **named: Any) -> Any:
    return function(*arguments, **named)


def cpu_tasks() -> CpuTasks | None:
    """Ray's CPU tasks in a worker of Ray that has a GPU; None elsewhere."""
    return CpuTasks() if ray.is_initialized() and ray.get_gpu_ids() else None


def _connect() -> None:
    """To the cluster of RAY_ADDRESS, or to a Ray of this process's own on this machine."""
    import torch

    if ray.is_initialized():
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if "RAY_ADDRESS" not in os.environ:
        quiet |= {"address": "local", "include_dashboard": False}
        quiet |= {} if torch.cuda.is_available() else {"object_store_memory": STORE_BYTES}
    ray.init(**quiet)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
