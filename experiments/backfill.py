"""Backfill: several days, each as the daily job does it, in order."""

import datetime as dt
from collections.abc import Callable

from experiments.gates import GateFailed


def backfill(
    first: dt.date,
    last: dt.date,
    is_done: Callable[[dt.date], bool],
    run: Callable[[dt.date], None],
) -> list[dt.date]:
    """The days from `first` to `last` that were run now, in order: those that are not done.

    After the first day that is not done every later one runs as well, done or not: a day replaces
    the log up to itself, so the last day must be the last to have run. Stops at a day that fails,
    with its name. Raises ValueError where `first` is after `last`.

    >>> day = dt.date(2026, 11, 2)
    >>> backfill(day, day + dt.timedelta(days=2), lambda d: d == day, lambda d: print(d))
    2026-11-03
    2026-11-04
    [datetime.date(2026, 11, 3), datetime.date(2026, 11, 4)]
    """
    if first > last:
        raise ValueError(f"The first day, {first}, is after the last, {last}; exchange them.")
    days = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
    todo = [n for n, day in enumerate(days) if not is_done(day)]
    ran = days[todo[0] :] if todo else []
    for day in ran:
        try:
            run(day)
        except GateFailed:
            raise  # it names the day
        except (ValueError, OSError) as error:
            raise ValueError(f"The backfill stopped at {day}: {error}") from error
    return ran
