"""The engine of several processes on this machine."""

import multiprocessing as mp
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import Any

from features.engine.engine import Piece, Result, WorkerLost

TRIES = 3
AHEAD = 2
CONTEXT = mp.get_context("forkserver")
CONTEXT.set_forkserver_preload(["features.visuals.describing", "features.pairs.shards"])


class Processes:
    """Other processes of this machine, which share its cores, or take one GPU each.

    They are forks of a process that has loaded torch and nothing else: they inherit no lock. Where
    one is killed, all are started again and the pieces in flight are done again, TRIES times unless
    something was done between. They end with the process that began them, also where it is killed.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(
        self, work: Callable[[Piece], Result], pieces: Iterable[Piece], *, gpu: bool = False
    ) -> Iterator[Result]:
        waiting = iter(pieces)
        first = list(islice(waiting, self.workers))
        if len(first) < 2:
            yield from map(work, first)
            return
        cores = len(os.sched_getaffinity(0))
        gets = pickle.dumps(work), max(1, cores // len(first)), _gpus() if gpu else []
        waiting, fails = chain(first, waiting), 0
        while True:
            lost = list[Piece]()
            for result in self._until_killed(gets, waiting, len(first), lost):
                fails = 0
                yield result
            if not lost:
                return
            fails += 1
            if fails == TRIES:
                raise WorkerLost(TRIES)
            waiting = chain(lost, waiting)

    def _until_killed(
        self, gets: tuple[Any, ...], waiting: Iterator[Any], size: int, lost: list[Any]
    ) -> Iterator[Any]:
        """Results of the pieces that wait; once a worker was killed, those that have none go into
        `lost`, and no other is begun.
        """
        pool = ProcessPoolExecutor(size, CONTEXT, _begin, gets)
        flying: dict[Future[Any], Any] = {}
        try:
            _submit(pool, flying, lost, islice(waiting, size * AHEAD))
            while flying:
                done, _ = wait(flying, return_when=FIRST_COMPLETED)
                for future in done:
                    piece = flying.pop(future)
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        lost.append(piece)
                    else:
                        yield result
                if not lost:
                    _submit(pool, flying, lost, islice(waiting, len(done)))
        finally:
            pool.shutdown(cancel_futures=True)


def _submit(
    pool: ProcessPoolExecutor,
    flying: dict[Future[Any], Any],
    lost: list[Any],
    pieces: Iterable[Any],
) -> None:
    for piece in pieces:
        try:
            flying[pool.submit(_do, piece)] = piece
        except BrokenProcessPool:
            lost.append(piece)


def _begin(blob: bytes, threads: int, gpus: list[str]) -> None:
    """A worker's first act; CUDA has not looked for GPUs before."""
    from threadpoolctl import threadpool_limits

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threadpool_limits(int(os.environ.get("OMP_NUM_THREADS", threads)))
    if gpus:
        number = int(mp.current_process().name.rpartition("-")[2])
        os.environ["CUDA_VISIBLE_DEVICES"] = own_gpu(gpus, number)
    _held["work"] = blob


def _do(piece: Any) -> Any:
    if isinstance(_held["work"], bytes):
        _held["work"] = pickle.loads(_held["work"])
    return _held["work"](piece)


_held: dict[str, Any] = {}


def own_gpu(gpus: list[str], number: int) -> str:
    """The GPU of the worker of that number, one after the other.

    >>> [own_gpu(["0", "1"], number) for number in (1, 2, 3)]
    ['1', '0', '1']
    """
    return gpus[number % len(gpus)]


def _gpus() -> list[str]:
    """GPUs of this machine that this process may use, as CUDA calls them."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(n) for n in range(torch.cuda.device_count())]


def _end_with_parent() -> None:
    parent = mp.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
