"""Whether the harness is right as often as it says: several thousand worlds with known truth.

python -m experiments.proof.calibration --write docs/calibration.md
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich import progress as rich
from rich.console import Console

from experiments.proof.calibration_page import page
from experiments.proof.conditions import Task
from experiments.proof.pictures import errors_plot, power_plot
from experiments.proof.studies import run
from experiments.report.plots import save_png

PLAN: tuple[tuple[str, str, tuple[int, ...], float], ...] = (
    # study, world, requests of a log, drawn worlds as a multiple of --worlds
    ("intervals", "no lift", (2_000,), 3.0),
    ("intervals", "position-based", (2_000,), 2.0),
    ("intervals", "40 users", (2_000,), 1.0),
    ("intervals", "very unequal users", (2_000,), 1.0),
    ("intervals", "rare actions", (2_000,), 1.0),
    ("intervals", "cascade", (2_000,), 1.0),
    ("intervals", "cannibalisation", (2_000,), 1.0),
    ("intervals", "sharp logging", (2_000,), 1.0),
    ("errors", "position-based", (500, 2_000, 8_000, 32_000), 0.2),
    ("errors", "cascade", (500, 2_000, 8_000, 32_000), 0.2),
    ("errors", "cannibalisation", (500, 2_000, 8_000, 32_000), 0.2),
    ("errors", "sharp logging", (500, 2_000, 8_000, 32_000), 0.2),
    ("live", "no lift", (8_000,), 4.0),
    ("live", "position-based", (8_000,), 2.0),
    ("live", "40 users", (2_000,), 2.0),
    ("live", "40 equal users", (2_000,), 2.0),
    ("live", "very unequal users", (8_000,), 2.0),
    ("live", "rare actions", (8_000,), 2.0),
    ("live", "cascade", (8_000,), 2.0),
    ("live", "cannibalisation", (8_000,), 2.0),
    ("live", "novelty", (32_000,), 1.0),
    ("sensitivity", "no lift", (4_000,), 2.0),
    ("sensitivity", "position-based", (250, 1_000, 4_000, 16_000, 64_000), 0.3),
    ("peeking", "no lift", (20_000,), 3.0),
    ("families", "large lift", (40_000,), 2.0),
    ("sample ratio", "position-based", (100_000,), 2.0),
)


def tasks(worlds: int) -> list[Task]:
    """Returns the tasks of a calibration, the longest first.

    >>> len(tasks(10)) > len(tasks(5)) > 0
    True
    """
    found = [
        Task(study, world, n_requests, seed)
        for study, world, sizes, share in PLAN
        for n_requests in sizes
        for seed in range(max(2, round(worlds * share)))
    ]
    return sorted(found, key=lambda task: -task.n_requests)


def outcomes(todo: Sequence[Task], processes: int) -> pd.DataFrame:
    """Returns one row per outcome of the tasks, with the columns of Outcome; shows progress."""
    columns = (
        rich.TextColumn("{task.description:12}"), rich.BarColumn(), rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(), rich.TextColumn("left"), rich.TimeRemainingColumn(),
    )  # fmt: skip
    total = sum(task.n_requests for task in todo)
    found = []
    with (
        rich.Progress(*columns, console=Console(stderr=True)) as shown,
        ProcessPoolExecutor(processes) as pool,
    ):
        bar = shown.add_task("requests", total=total)
        for task, some in zip(todo, pool.map(run, todo, chunksize=8), strict=True):
            found += some
            shown.advance(bar, task.n_requests)
    return pd.DataFrame(found)


def main(
    write: Annotated[Path, typer.Option(help="The page; its pictures go to images/ beside it.")],
    worlds: Annotated[int, typer.Option(min=5, help="Worlds per table cell, about.")] = 500,
) -> None:
    """Calibrates the harness on worlds with known truth and writes the page."""
    processes, start = os.cpu_count() or 1, time.monotonic()
    found = outcomes(tasks(worlds), processes)
    minutes = (time.monotonic() - start) / 60
    images = write.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    save_png(errors_plot(found), images / "calibration-errors.png")
    save_png(power_plot(found), images / "calibration-power.png")
    how = (
        f"{len(tasks(worlds)):,} worlds in {minutes:.1f} minutes, {processes} processes; "
        f"`make calibration` (`--worlds {worlds}`)"
    )
    write.write_text(page(found, how))


if __name__ == "__main__":
    typer.run(main)
