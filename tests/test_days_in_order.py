"""Days made in several processes and published in order."""

import datetime as dt
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from days_in_order import days_between, in_order

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


def test_days_over_the_end_of_a_month() -> None:
    assert days_between(DAYS[0], DAYS[-1]) == DAYS
    with pytest.raises(ValueError, match="is after the last"):
        days_between(DAYS[1], DAYS[0])
