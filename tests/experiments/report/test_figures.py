from math import nan
from typing import Any

import pytest

from experiments.report.figures import estimate_of, forest_panel

LOSS = {"metric": "save", "lift": -0.05, "ci_low": -0.09, "ci_high": -0.01, "p_value": 0.02}
GAIN = {"metric": "save", "lift": 0.05, "ci_low": 0.01, "ci_high": 0.09, "p_value": 0.02}


@pytest.mark.parametrize(
    ("row", "adjusted", "reading"),
    [
        (GAIN, None, "better"), (LOSS, None, "worse"),
        (GAIN | {"ci_low": -0.01}, None, "unclear"),
        (GAIN, 0.049, "better"), (LOSS, 0.049, "worse"), (GAIN, 0.05, "unclear"),
        (GAIN, nan, "unclear"),
        (LOSS | {"metric": "hide"}, 0.01, "better"), (GAIN | {"metric": "hide"}, None, "worse"),
        (LOSS | {"ci_low": None, "ci_high": None}, 0.01, "worse"),
        (LOSS | {"ci_low": None, "ci_high": None}, None, "unclear"),
        (GAIN | {"lift": None, "ci_low": None, "ci_high": None}, 0.01, "unclear"),
    ],
)  # fmt: skip
def test_an_adjusted_p_value_decides_where_there_is_one(
    row: dict[str, Any], adjusted: float | None, reading: str
) -> None:
    assert estimate_of(row, "arm", adjusted=adjusted).reading == reading


def test_the_plot_is_said_in_words() -> None:
    found = tuple(estimate_of(row, name) for row, name in ((GAIN, "gains"), (LOSS, "loses")))
    panel = forest_panel("save", "Saves", found, (), "saves")
    assert panel.words == (
        "Saves, lift over whole_image with 95% interval. gains: +5.0% (+1.0% to +9.0%), better; "
        "loses: −5.0% (−9.0% to −1.0%), worse"
    )
    assert panel.plot.startswith("<svg")
