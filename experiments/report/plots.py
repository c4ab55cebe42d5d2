"""Plots of lift: SVG whose colours follow the page, and PNG to paste elsewhere."""

import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.wording import percent

COLOURS = {
    "ink": "#1b1f24", "muted": "#59636e", "line": "#d4d9df", "card": "#fefefe",
    "better": "#0b6bcb", "worse": "#c2410c", "unclear": "#5f6975",
    "arm-1": "#7c3aed", "arm-2": "#0891b2", "arm-3": "#ca8a04",
    "arm-4": "#db2777", "arm-5": "#15803d", "arm-6": "#9a3412",
}  # fmt: skip
MARKERS = ("s", "D", "^", "v", "o", "P")
FONT_SIZE = 8
_ROW = 0.36
_HEAD = 0.42


@dataclass(frozen=True)
class Interval:
    """One row of a forest plot: a lift and its 95 % interval, each a share (0.04 is +4%).

    reading: better, worse or unclear, the row's colour; wide: the same by an estimator with wider
    intervals, drawn thin; None leaves it out. Values that are NaN are not drawn.
    """

    label: str
    lift: float
    low: float
    high: float
    reading: str
    wide: tuple[float, float, float] | None = None


def forest(rows: Sequence[Interval], width: float = 3.7) -> Figure:
    """One line per row: its label, its lift with interval, and where that lies around zero."""
    figure = Figure(figsize=(width, _HEAD + _ROW * len(rows)))
    axes = figure.add_axes(
        (0.02, (_HEAD - 0.12) / figure.get_figheight(), 0.96, 1 - _HEAD / figure.get_figheight())
    )
    _draw_forest(axes, rows)
    return figure


def daily(days: Sequence[str], lifts: Mapping[str, Sequence[float]], width: float = 3.7) -> Figure:
    """Lift per day, one line per arm in the order given; NaN leaves a gap."""
    figure = Figure(figsize=(width, 2.2))
    axes = figure.add_axes((0.15, 0.13, 0.82, 0.83))
    axes.axhline(0, color=COLOURS["ink"], linewidth=0.8)
    for number, values in enumerate(lifts.values()):
        axes.plot(
            range(len(days)), values, color=COLOURS[f"arm-{number % 6 + 1}"],
            marker=MARKERS[number % 6], markersize=4.5, linewidth=1.4,
        )  # fmt: skip
    axes.set_xticks(range(len(days)), days)
    axes.set_xlim(-0.2, len(days) - 0.8)
    axes.yaxis.set_major_formatter(_tick)
    axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
    _plain(axes)
    axes.grid(axis="y", color=COLOURS["line"], linewidth=0.6)
    return figure


def orders(values: Sequence[float], rows: Sequence[Interval], width: float = 3.7) -> Figure:
    """The same rows in two orders, by falling value on the left and by falling lift on the right.

    values (N,): one per row, none NaN. A line joins a row's two places; two lines that cross are
    two rows that the orders rank differently.
    """
    figure = Figure(figsize=(width, 0.12 + 0.24 * len(rows)))
    axes = figure.add_axes((0.02, 0.01, 0.96, 0.98))
    left, right = (_places(numbers) for numbers in (values, [row.lift for row in rows]))
    for row, value, start, end in zip(rows, values, left, right, strict=True):
        colour = COLOURS[row.reading]
        axes.plot((0, 1), (-start, -end), color=colour, linewidth=1.6, marker="o", markersize=4.5)
        for x, y, text, align, ink in (
            (-0.12, -start, f"{row.label} {value:.4f}", "right", COLOURS["ink"]),
            (1.12, -end, _in_words(row), "left", colour),
        ):
            axes.text(x, y, text, ha=align, va="center", color=ink, fontsize=FONT_SIZE,
                      parse_math=False)  # fmt: skip
    axes.set_xlim(-2.3, 2.5)
    axes.set_ylim(0.5 - len(rows), 0.5)
    axes.set_axis_off()
    return figure


def overview(panels: Mapping[str, Sequence[Interval]], title: str, note: str) -> Figure:
    """All forests on one sheet, for a PNG; panels: title -> rows."""
    n_rows = max((len(rows) for rows in panels.values()), default=1)
    lines = math.ceil(len(panels) / 3)
    height = 0.95 + lines * (_HEAD + 0.35 + _ROW * n_rows) + 0.3
    figure = Figure(figsize=(12.6, height), facecolor=COLOURS["card"])
    figure.text(
        0.02, 1 - 0.3 / height, title, fontsize=13, weight="bold", va="center", color=COLOURS["ink"]
    )
    figure.text(0.02, 0.17 / height, note, fontsize=8, va="center", color=COLOURS["muted"])
    grid = figure.add_gridspec(
        lines, 3, left=0.02, right=0.98, top=1 - 0.95 / height, bottom=0.65 / height,
        wspace=0.12, hspace=0.9 / (_ROW * n_rows),
    )  # fmt: skip
    for place, (name, rows) in enumerate(panels.items()):
        axes = figure.add_subplot(grid[place // 3, place % 3])
        _draw_forest(axes, rows)
        axes.set_title(name, loc="left", fontsize=10, weight="bold", color=COLOURS["ink"])
    return figure


def svg(figure: Figure, name: str) -> str:
    """The figure as an <svg> element for a page that defines the colours as CSS variables.

    `name` must differ between the figures of a page and keeps their inner ids apart.
    """
    file = io.StringIO()
    with (
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the browser has its own
        figure.savefig(
            file,
            format="svg",
            transparent=True,
            metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
        )
    text = file.getvalue()[file.getvalue().index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(
        r'<svg [^>]*?viewBox="([^"]+)"[^>]*>',
        r'<svg viewBox="\1" aria-hidden="true">',
        text,
        count=1,
    )
    for colour, code in COLOURS.items():
        text = text.replace(code, f"var(--{colour})")
    return re.sub(r'id="(?![mp][0-9a-f]{10}")[^"]*"', "", text).strip()


def save_png(figure: Figure, path: Path) -> None:
    """Writes the figure aside and renames it into place; 160 dots per inch, light background."""
    aside = path.with_suffix(".part")
    figure.savefig(aside, format="png", dpi=160, metadata={"Software": None})
    aside.replace(path)


def _draw_forest(axes: Axes, rows: Sequence[Interval]) -> None:
    low, high = _limits(rows)
    axes.axvline(0, color=COLOURS["ink"], linewidth=0.8)
    for number, row in enumerate(rows):
        y = -number
        colour = COLOURS[row.reading]
        _write(axes, low, y + 0.2, row.label, "left", COLOURS["ink"])
        _write(axes, high, y + 0.2, _in_words(row), "right", colour)
        if row.wide:
            _interval(axes, y - 0.19, row.wide, (low, high), COLOURS["unclear"], thin=True)
        _interval(axes, y + 0.03, (row.lift, row.low, row.high), (low, high), colour)
    axes.set_xlim(low, high)
    axes.set_ylim(0.45 - len(rows), 0.75)
    axes.set_yticks([])
    axes.xaxis.set_major_formatter(_tick)
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5, steps=[1, 2, 5, 10]))
    _plain(axes)
    axes.grid(axis="x", color=COLOURS["line"], linewidth=0.6)


def _in_words(row: Interval) -> str:
    known = math.isfinite(row.low) and math.isfinite(row.high)
    span = f" [{percent(row.low)[:-1]}, {percent(row.high)[:-1]}]" if known else ""
    return percent(row.lift) + span


def _places(numbers: Sequence[float]) -> list[int]:
    """Each number's place from 0 among them, the largest first."""
    order = sorted(range(len(numbers)), key=lambda n: -numbers[n])
    return [order.index(n) for n in range(len(numbers))]


def _write(axes: Axes, x: float, y: float, text: str, align: str, colour: str) -> None:
    around = {"facecolor": COLOURS["card"], "edgecolor": "none", "pad": 0.6}
    axes.text(
        x, y, text, ha=align, va="bottom", color=colour, bbox=around,
        fontsize=FONT_SIZE, parse_math=False,
    )  # fmt: skip


def _interval(
    axes: Axes, y: float, at: tuple[float, float, float], limits: tuple[float, float],
    colour: str, thin: bool = False,
) -> None:  # fmt: skip
    """A dot with its interval; an end beyond the plot becomes an arrow."""
    lift, low, high = at
    if not (math.isfinite(low) and math.isfinite(high)):
        return
    width = 0.8 if thin else 2.2
    ends = max(low, limits[0]), min(high, limits[1])
    if ends[0] < ends[1]:
        axes.plot(ends, (y, y), color=colour, linewidth=width, solid_capstyle="butt")
    for beyond, end, marker in ((low < limits[0], limits[0], 4), (high > limits[1], limits[1], 5)):
        if beyond:
            axes.plot(end, y, marker=marker, color=colour, markersize=4, clip_on=False)
    if limits[0] <= lift <= limits[1]:
        face = COLOURS["card"] if thin else colour
        axes.plot(
            lift,
            y,
            "o",
            markersize=3 if thin else 6,
            color=colour,
            markerfacecolor=face,
            markeredgewidth=0.8,
        )


def _limits(rows: Sequence[Interval]) -> tuple[float, float]:
    """Left and right end: all main intervals, and zero, with some room."""
    ends = [e for row in rows for e in (row.low, row.high, row.lift) if math.isfinite(e)] + [0.0]
    low, high = min(ends), max(ends)
    room = max(0.08 * (high - low), 0.005)
    return low - room, high + room


def _tick(value: float, _: float = 0.0) -> str:
    return percent(value, 0 if abs(value * 100 - round(value * 100)) < 1e-6 else 1)


def _plain(axes: Axes) -> None:
    axes.patch.set_alpha(0)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=COLOURS["muted"], labelsize=FONT_SIZE)
    for spine in axes.spines.values():
        spine.set_visible(False)
