import re
import xml.etree.ElementTree as ET
from math import nan
from pathlib import Path

import pytest
from PIL import Image

from experiments.report.plots import (
    COLOURS,
    Interval,
    daily,
    forest,
    orders,
    overview,
    save_png,
    svg,
)

ROWS = [
    Interval("loses", -0.04, -0.06, -0.02, "worse"),
    Interval("unknown", 0.0, -0.03, 0.03, "unclear"),
    Interval("gains", 0.04, 0.02, 0.06, "better", wide=(0.05, -0.4, 0.5)),
]


def texts(drawn: str) -> list[str]:
    return [element.text or "" for element in parse(drawn).iter() if element.tag.endswith("text")]


def parse(drawn: str) -> ET.Element:
    return ET.fromstring(drawn.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" '))


def test_a_forest_names_every_arm_with_its_interval() -> None:
    written = texts(svg(forest(ROWS), "a"))
    assert written[-6:] == [
        "loses", "−4.0% [−6.0, −2.0]", "unknown", "0.0% [−3.0, +3.0]",
        "gains", "+4.0% [+2.0, +6.0]",
    ]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.reading)
def test_the_colour_is_that_of_the_reading(row: Interval) -> None:
    for drawn in (svg(forest([row]), "a"), svg(orders([0.5], [row]), "b")):
        assert f"var(--{row.reading})" in drawn
        others = {"better", "worse"} - {row.reading}
        assert not any(f"var(--{other})" in drawn for other in others)


def test_dots_lie_where_the_lifts_are() -> None:
    (axes,) = forest(ROWS).axes
    dots = [line for line in axes.lines if line.get_marker() == "o" and line.get_markersize() == 6]
    assert [float(dot.get_xdata()[0]) for dot in dots] == [-0.04, 0.0, 0.04]


def test_an_interval_beyond_the_plot_ends_in_arrows() -> None:
    (axes,) = forest(ROWS).axes
    assert [line.get_marker() for line in axes.lines].count(4) == 1
    assert [line.get_marker() for line in axes.lines].count(5) == 1
    low, high = axes.get_xlim()
    assert -0.2 < low < -0.06
    assert 0.06 < high < 0.2


def test_lines_join_the_places_in_both_orders() -> None:
    (axes,) = orders([0.52, 0.54, 0.53], ROWS).axes
    joined = [(-float(line.get_ydata()[0]), -float(line.get_ydata()[1])) for line in axes.lines]
    assert joined == [(2, 2), (0, 1), (1, 0)]
    written = [text.get_text() for text in axes.texts]
    assert written[:2] == ["loses 0.5200", "−4.0% [−6.0, −2.0]"]


def test_equal_values_keep_their_order() -> None:
    (axes,) = orders([0.5, 0.5, 0.5], ROWS).axes
    assert [-float(line.get_ydata()[0]) for line in axes.lines] == [0, 1, 2]


def test_what_is_not_known_is_named_but_not_drawn() -> None:
    figure = forest([Interval("empty", nan, nan, nan, "unclear", wide=(nan, nan, nan))])
    assert texts(svg(figure, "a"))[-2:] == ["empty", "n/a"]
    assert len(figure.axes[0].lines) == 1


def test_all_colours_follow_the_page_and_ids_are_apart() -> None:
    drawn = [svg(forest(ROWS), name) for name in ("one", "two")]
    drawn.append(svg(daily(["1 Nov", "2 Nov"], {"a": [0.1, nan], "b": [0.0, -0.1]}), "three"))
    assert not any(re.search(r"#[0-9a-fA-F]{6}|<style|<metadata", text) for text in drawn)
    ids = [i for text in drawn for i in set(re.findall(r'id="([^"]+)"', text))]
    assert len(ids) == len(set(ids))


def test_the_same_plot_is_the_same_text() -> None:
    assert svg(forest(ROWS), "a") == svg(forest(ROWS), "a")


def test_a_label_is_neither_markup_nor_mathematics() -> None:
    label = r"<b> & $\frac{1}$"
    assert label in texts(svg(forest([Interval(label, 0.0, -0.1, 0.1, "unclear")]), "a"))


def test_the_sheet_is_written_whole(tmp_path: Path) -> None:
    panels = dict.fromkeys(("Saves", "Clicks", "Closeups", "Hides"), ROWS)
    save_png(overview(panels, "title", "note"), tmp_path / "report.png")
    assert [path.name for path in tmp_path.iterdir()] == ["report.png"]
    with Image.open(tmp_path / "report.png") as image:
        assert image.width == 2016
        background = tuple(int(COLOURS["card"][n : n + 2], 16) for n in (1, 3, 5))
        assert image.convert("RGB").getpixel((2, 2)) == background
