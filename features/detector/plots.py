"""Plots about a detector: its losses in training, its scores against the truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from features.detector.matches import Curve, Reliability

CURVES = 10


def draw_losses(losses: Sequence[Mapping[str, float]], path: Path) -> None:
    """Writes a picture of the mean losses of each epoch, and of their sum, one line each."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="epoch", ylabel="mean loss")
    epochs = range(1, len(losses) + 1)
    axes.plot(epochs, [sum(row.values()) for row in losses], "k-o", markersize=3, label="sum")
    for name in losses[0]:
        values = [row[name] for row in losses]
        axes.plot(epochs, values, "-o", markersize=3, label=name.removeprefix("loss_"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def draw_scores(reliability: Reliability, curves: Mapping[str, Curve], path: Path) -> None:
    """Writes a picture: left the reliability of the scores, right precision over recall of the
    categories with the most boxes, ten at most."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    _draw_reliability(figure.add_subplot(1, 2, 1), reliability)
    _draw_curves(figure.add_subplot(1, 2, 2), curves)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _draw_reliability(axes: Axes, reliability: Reliability) -> None:
    axes.plot([0, 1], [0, 1], "--", color="grey", label="a score is the chance to be right")
    around = [reliability.share - reliability.low, reliability.high - reliability.share]
    axes.errorbar(reliability.score, reliability.share, around, fmt="o-", capsize=3, label="found")
    for x, y, n in zip(reliability.score, reliability.share, reliability.found, strict=True):
        axes.annotate(f"{n:,}", (x, y), (4, -12), textcoords="offset points", fontsize=7)
    axes.set(
        xlabel="score (mean of the bin)", ylabel="share right at IoU 0.5, 95% interval",
        xlim=(0, 1), ylim=(0, 1), title=f"Off by {reliability.error:.3f} on average",
    )  # fmt: skip
    axes.legend(frameon=False, loc="upper left")


def _draw_curves(axes: Axes, curves: Mapping[str, Curve]) -> None:
    for name, curve in sorted(curves.items(), key=lambda item: -item[1].boxes)[:CURVES]:
        label = f"{name} ({curve.boxes:,})"
        axes.plot(curve.recall, curve.precision, drawstyle="steps-pre", label=label)
    axes.set(xlabel="recall", ylabel="precision at IoU 0.5", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title("By category (true boxes)")
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    axes.grid(alpha=0.3)
