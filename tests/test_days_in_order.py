"""Days made in several processes and published in order."""

import datetime as dt
import multiprocessing as mp
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from days_in_order import DaysLost, days_between, in_order

DAYS = [dt.date(2026, 10, 30) + dt.timedelta(days=n) for n in range(5)]


@pytest.fixture(autouse=True)
def meeting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEETING", str(tmp_path / "met"))


def number(day: dt.date) -> tuple[int, int]:
    """(day of the month, process); the first day waits for another."""
    met, until = Path(os.environ["MEETING"]), time.monotonic() + 120
    if day != DAYS[0]:
        met.touch()
    while not met.exists() and time.monotonic() < until:
        time.sleep(0.05)
    return day.day, os.getpid()


def fails_on_the_third(day: dt.date) -> tuple[int, int]:
    if day == DAYS[2]:
        raise ValueError(f"no pins on {day}.")
    return number(day)


def published(make: Callable[[dt.date], tuple[int, int]], jobs: int) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    in_order(DAYS, make, lambda _, made: seen.append(made()), jobs)
    return seen


def test_days_are_published_in_order_though_made_at_once() -> None:
    seen = published(number, jobs=2)
    assert [day for day, _ in seen] == [day.day for day in DAYS]
    processes = {process for _, process in seen}
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_what_fails_ends_it_after_the_days_before() -> None:
    seen: list[int] = []
    with pytest.raises(ValueError, match="no pins on 2026-11-01"):
        in_order(DAYS, fails_on_the_third, lambda _, made: seen.append(made()[0]), 2)
    assert seen == [30, 31]


def test_an_error_in_publishing_waits_for_nobody() -> None:
    def refuse(day: dt.date, _: object) -> None:
        raise ValueError(f"{day} is refused.")

    begun = time.monotonic()
    with pytest.raises(ValueError, match="2026-10-30 is refused"):
        in_order(DAYS, sleep_long, refuse, 2)
    assert time.monotonic() - begun < 60


def sleep_long(_: dt.date) -> None:
    time.sleep(120)


def is_killed_on_the_third(day: dt.date) -> tuple[int, int]:
    if day == DAYS[2]:
        os.kill(os.getpid(), signal.SIGKILL)
    return number(day)


def test_a_killed_process_ends_it_and_says_what_to_do() -> None:
    seen: list[int] = []
    with pytest.raises(DaysLost, match=r"was killed.*same command again, with fewer --jobs"):
        in_order(DAYS, is_killed_on_the_third, lambda _, made: seen.append(made()[0]), 2)
    assert seen in ([], [30], [30, 31])


def sleep_and_tell(day: dt.date) -> None:
    """Holds a pipe open by name, so that its other end is at an end once all that hold it are."""
    with Path(os.environ["MEETING"]).open("wb") as pipe:
        pipe.write(f"{day:%d} ".encode())
        pipe.flush()
        time.sleep(120)


def in_two_processes() -> None:
    in_order(DAYS, sleep_and_tell, lambda _, made: made(), 2)


def test_processes_end_with_the_one_that_was_killed() -> None:
    os.mkfifo(os.environ["MEETING"])
    job, begun = mp.get_context("spawn").Process(target=in_two_processes), time.monotonic()
    job.start()
    with Path(os.environ["MEETING"]).open("rb") as pipe:
        told = b""
        while len(told) < len(b"30 31 "):
            told += pipe.read1(6)
        job.kill()
        assert pipe.read() == b""
    assert sorted(told.split()) == [b"30", b"31"]
    assert time.monotonic() - begun < 100
    job.join()


def test_days_over_the_end_of_a_month() -> None:
    assert days_between(DAYS[0], DAYS[-1]) == DAYS
    with pytest.raises(ValueError, match="is after the last"):
        days_between(DAYS[1], DAYS[0])
