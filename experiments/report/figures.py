"""What the report draws and tabulates, each with the queries that give its numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.arms import AA, ARMS, CONTROL
from experiments.report.answer import Answer, Row
from experiments.report.plots import Interval, forest, svg
from experiments.verdict import GUARDRAIL, LEVEL
from experiments.wording import percent, reading, short

METRICS = {
    "save": "Saves",
    "click": "Clicks",
    "long_click": "Long clicks",
    "closeup": "Closeups",
    "hide": "Hides (fewer is better)",
}
ARM_LABELS = {"oracle": "oracle (evaluation only)", AA: f"{AA} (A/A)"}
Answers = tuple[Answer, ...]


@dataclass(frozen=True)
class Estimate:
    """A lift for people; `reading` is better, worse or unclear. NaN where it is not known.

    wide: (lift, low, high) position by position; adjusted: p-value corrected for the others looked
    at, where there is a correction; p_value, effective_sample_size, control and treatment as in
    experiment_lift.
    """

    label: str
    lift: float
    low: float
    high: float
    reading: str
    control: float = math.nan
    treatment: float = math.nan
    p_value: float = math.nan
    adjusted: float = math.nan
    effective_sample_size: float = math.nan
    wide: tuple[float, float, float] = (math.nan, math.nan, math.nan)

    @property
    def interval(self) -> Interval:
        """The same as a row of a forest plot."""
        return Interval(self.label, self.lift, self.low, self.high, self.reading, self.wide)


@dataclass(frozen=True)
class Panel:
    """One metric: its title, plot (an <svg>), the plot in words, and what is behind it.

    `note` is one sentence to read with it; `answers` are the queries whose rows are plotted.
    """

    metric: str
    title: str
    plot: str
    words: str
    estimates: tuple[Estimate, ...]
    answers: Answers
    note: str = ""


@dataclass(frozen=True)
class Grid:
    """A table of cells by row and column; a cell is an Estimate, a number, a text or None.

    A row is (name, number of requests or 0, cells); `note` and `answers` as of a Panel.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[Estimate | float | str | None, ...]], ...]
    answers: Answers
    note: str = ""


def arm_order(names: Sequence[str]) -> list[str]:
    """Arm names as the arms are listed, without repeats; arms that are not listed come last.

    >>> arm_order(["targeted", "mine", "presence", "targeted"])
    ['presence', 'targeted', 'mine']
    """
    known = list(ARMS)
    return sorted(set(names), key=lambda n: (known.index(n) if n in known else len(known), n))


def label_of(arm: str) -> str:
    return ARM_LABELS.get(arm, short(arm, 30))


def estimate_of(
    row: Row, label: str, wide: Row | None = None, adjusted: float | None = None
) -> Estimate:
    """The Estimate of a row of experiment_lift; `wide` is the row of the other estimator.

    With an adjusted p-value the lift is better or worse where that is below 0.05, as in the
    verdict; without one, where the interval leaves out zero.
    """
    lift, low, high = _span(row)
    ends = (low, high) if adjusted is None else (lift, lift)
    doubtful = adjusted is not None and not adjusted < LEVEL
    found = "unclear" if doubtful else reading(*ends, row["metric"] != GUARDRAIL)
    return Estimate(
        label, lift, low, high, found,
        number_of(row.get("control")), number_of(row.get("treatment")),
        number_of(row.get("p_value")), number_of(adjusted),
        number_of(row.get("effective_sample_size")), _span(wide or {}),
    )  # fmt: skip


def forest_panel(
    metric: str, title: str, estimates: tuple[Estimate, ...], answers: Answers, name: str,
    note: str = "",
) -> Panel:  # fmt: skip
    """The forest plot of the estimates; `name` keeps its inner ids apart from those of others."""
    words = f"{title}, lift over {CONTROL} with 95% interval. " + "; ".join(
        f"{e.label}: {percent(e.lift)} ({percent(e.low)} to {percent(e.high)}), {e.reading}"
        for e in estimates
    )
    plot = svg(forest([e.interval for e in estimates]), name)
    return Panel(metric, title, plot, words, estimates, answers, note)


def number_of(value: float | None) -> float:
    """The value; NaN for null."""
    return math.nan if value is None else float(value)


def _span(row: Row) -> tuple[float, float, float]:
    return number_of(row.get("lift")), number_of(row.get("ci_low")), number_of(row.get("ci_high"))
