"""Days made in several processes, and taken over in the order of the days."""

import datetime as dt
import multiprocessing as mp
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

Made = TypeVar("Made")


class DaysLost(OSError):
    """A process that made days was killed; the text says what to do."""

    def __init__(self) -> None:
        super().__init__(
            "A process that was making days was killed, most often because memory ran out; run "
            "the same command again, with fewer --jobs: days that are done are not done again."
        )


def days_between(first: dt.date, last: dt.date) -> list[dt.date]:
    """The days from `first` to `last`. Raises ValueError where `first` is after `last`.

    >>> [f"{day:%d}" for day in days_between(dt.date(2026, 10, 31), dt.date(2026, 11, 2))]
    ['31', '01', '02']
    """
    if first > last:
        raise ValueError(f"The first day, {first}, is after the last, {last}; exchange them.")
    return [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]


def in_order(
    days: Sequence[dt.date],
    make: Callable[[dt.date], Made],
    publish: Callable[[dt.date, Callable[[], Made]], None],
    jobs: int,
) -> None:
    """Calls `publish` for each day in order, with a function that waits for what `make` returns.

    Days are made in up to `jobs` processes, at most `2 * jobs` of them before the one that is to
    be published. `make` and what it returns are pickled; an error of it comes out of the function.
    An error of `publish` ends it all, and the processes end with this one, even when it is killed.
    Raises DaysLost where one of them is killed.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    before, todo = set(mp.active_children()), deque(days)
    with ProcessPoolExecutor(jobs, mp.get_context("spawn"), _end_with_parent) as pool:
        ahead: deque[tuple[dt.date, Future[Made]]] = deque()
        try:
            while todo or ahead:
                while todo and len(ahead) < 2 * jobs:
                    with _known_when_killed():
                        ahead.append((todo[0], pool.submit(make, todo.popleft())))
                day, future = ahead.popleft()
                publish(day, partial(_result, future))
        except BaseException:
            for process in set(mp.active_children()) - before:
                process.terminate()
            raise


def _result(future: Future[Made]) -> Made:
    with _known_when_killed():
        return future.result()


@contextmanager
def _known_when_killed() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise DaysLost from error


def _end_with_parent() -> None:
    parent = mp.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
