import datetime as dt

import pytest

from experiments.backfill import backfill
from experiments.gates import GateFailed

DAYS = [dt.date(2026, 10, 30) + dt.timedelta(days=n) for n in range(5)]


class Job:
    """Days that are done, in order; one may fail."""

    def __init__(self, done: list[dt.date], fails: dt.date | None = None,
                 error: Exception | None = None) -> None:  # fmt: skip
        self.done, self.fails, self.error = list(done), fails, error
        self.ran: list[dt.date] = []

    def run(self, day: dt.date) -> None:
        if day == self.fails and self.error:
            raise self.error
        self.ran.append(day)
        self.done.append(day)

    def backfill(self) -> list[dt.date]:
        return backfill(DAYS[0], DAYS[-1], self.done.__contains__, self.run)


def test_days_run_in_order_over_the_end_of_a_month() -> None:
    job = Job([])
    assert job.backfill() == job.ran == DAYS


def test_what_is_done_is_not_done_again() -> None:
    job = Job(DAYS[:3])
    assert job.backfill() == DAYS[3:]
    assert job.backfill() == []


def test_days_after_a_gap_run_again_so_that_the_last_day_is_last() -> None:
    assert Job([DAYS[0], DAYS[3], DAYS[4]]).backfill() == DAYS[1:]


def test_a_failing_day_stops_it_by_name_and_it_goes_on_there() -> None:
    job = Job([], DAYS[2], ValueError("no pins."))
    with pytest.raises(ValueError, match="stopped at 2026-11-01: no pins"):
        job.backfill()
    assert job.ran == DAYS[:2]
    job.error = None
    assert job.backfill() == DAYS[2:]


def test_a_failed_gate_stays_one() -> None:
    with pytest.raises(GateFailed):
        Job([], DAYS[0], GateFailed("for 2026-10-30")).backfill()


def test_days_the_wrong_way_round_are_an_error() -> None:
    with pytest.raises(ValueError, match="is after the last"):
        backfill(DAYS[1], DAYS[0], lambda _: False, lambda _: None)
