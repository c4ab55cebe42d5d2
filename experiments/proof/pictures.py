"""Pictures of a calibration: error against the size of the log, power against requests."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.proof.measures import POWER, error, power, requests_for_power
from experiments.report.plots import COLOURS, FONT_SIZE, MARKERS

DRAWN = (
    "snips_position_based", "snips_item_position", "snips", "doubly_robust", "direct_method",
    "reward_interaction_ips, self-normalised",
)  # fmt: skip


def errors_plot(found: pd.DataFrame) -> Figure:
    """One panel per kind of world: RMSE against requests; a hollow mark where it is biased."""
    rows = found[found["study"] == "errors"]
    worlds = list(dict.fromkeys(rows["world"]))
    figure = Figure(figsize=(9.0, 6.4), facecolor=COLOURS["card"])
    panels = figure.subplots(2, 2, sharex=True, sharey=True, squeeze=False)
    for axes, world in zip(panels.flat, sorted(worlds, key=_place), strict=False):
        for number, name in enumerate(DRAWN):
            here = rows[(rows["world"] == world) & (rows["estimator"] == name)]
            by_size = {n: error(some) for n, some in here.groupby("n_requests")}
            _line(axes, number, name, {n: 100 * e.rmse for n, e in by_size.items()})
            biased = {n: 100 * e.rmse for n, e in by_size.items() if e.biased}
            axes.plot(
                list(biased), list(biased.values()), MARKERS[number], markersize=6.5,
                color=COLOURS[f"arm-{number + 1}"], markerfacecolor=COLOURS["card"],
            )  # fmt: skip
        axes.set_title(world, loc="left", fontsize=10, weight="bold", color=COLOURS["ink"])
        axes.set_yscale("log")
        axes.set_yticks([1, 2, 5, 10, 20, 50], [f"{tick} %" for tick in (1, 2, 5, 10, 20, 50)])
        _plain(axes, rows["n_requests"])
    for axes in panels[:, 0]:
        axes.set_ylabel("RMSE, % of the truth", fontsize=FONT_SIZE, color=COLOURS["muted"])
    for axes in panels[1]:
        axes.set_xlabel(
            "requests in the log   (hollow: biased)", fontsize=FONT_SIZE, color=COLOURS["muted"]
        )
    lines, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="lower center", ncols=3, fontsize=FONT_SIZE, frameon=False)
    figure.subplots_adjust(left=0.09, right=0.98, top=0.95, bottom=0.16, wspace=0.06, hspace=0.18)
    return figure


def power_plot(found: pd.DataFrame) -> Figure:
    """Power against requests, one line per kind of test, with the requests for 80 %."""
    figure = Figure(figsize=(8.4, 3.6), facecolor=COLOURS["card"])
    axes = figure.add_axes((0.075, 0.14, 0.60, 0.82))
    axes.axhline(POWER, color=COLOURS["muted"], linewidth=0.8, linestyle="--")
    powers = power(found)
    for number, (name, line) in enumerate(powers.items()):
        needed = requests_for_power(line)
        most = f"over {max(line.index):,}"
        label = f"{name}: {needed:,.0f}" if np.isfinite(needed) else f"{name}: {most}"
        _line(axes, number, label, line.to_dict())
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("requests", fontsize=FONT_SIZE, color=COLOURS["muted"])
    axes.set_ylabel("power at p < 0.05", fontsize=FONT_SIZE, color=COLOURS["muted"])
    _plain(axes, found[found["study"] == "sensitivity"]["n_requests"])
    axes.legend(
        title="requests for 80 % power", alignment="left", frameon=False,
        fontsize=FONT_SIZE, title_fontsize=FONT_SIZE, loc="center left", bbox_to_anchor=(1.02, 0.5),
    )  # fmt: skip
    return figure


def _place(world: str) -> int:
    return ("position-based", "sharp logging", "cascade", "cannibalisation").index(world)


def _line(axes: Axes, number: int, label: str, points: Mapping[Any, float]) -> None:
    axes.plot(
        list(points), list(points.values()), color=COLOURS[f"arm-{number + 1}"], label=label,
        marker=MARKERS[number], markersize=4.5, linewidth=1.4,
    )  # fmt: skip


def _plain(axes: Axes, sizes: "pd.Series[int]") -> None:
    axes.set_xscale("log")
    ticks = sorted(set(sizes))
    axes.set_xticks(ticks, [f"{n:,}" for n in ticks])
    axes.minorticks_off()
    axes.tick_params(length=0, colors=COLOURS["muted"], labelsize=FONT_SIZE)
    axes.grid(color=COLOURS["line"], linewidth=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
