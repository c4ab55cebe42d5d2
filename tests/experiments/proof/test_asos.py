from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.proof import asos


@pytest.fixture(scope="module")
def rows(shared_data: Path) -> pd.DataFrame:
    parquet = shared_data / "asos" / "asos_digital_experiments.parquet"
    if not parquet.is_file():
        pytest.skip(f"no ASOS experiments at {parquet}")
    return asos.read(parquet)


@pytest.fixture(scope="module")
def seen(rows: pd.DataFrame) -> pd.DataFrame:
    return asos.looks(rows)


@pytest.fixture(scope="module")
def found(seen: pd.DataFrame) -> pd.DataFrame:
    return asos.outcomes(seen)


def test_every_comparison_has_one_outcome(rows: pd.DataFrame, found: pd.DataFrame) -> None:
    expected = asos.comparable(rows)[asos.KEYS].drop_duplicates()
    assert len(found) == len(expected) > 300
    assert not found.duplicated(asos.KEYS).any()
    assert rows["experiment_id"].nunique() == 78


def test_the_last_look_is_that_of_scipy(rows: pd.DataFrame, found: pd.DataFrame) -> None:
    by_t, by_p = asos.difference_from_scipy(rows, found)
    assert by_t < 1e-10
    assert by_p < 1e-10


def test_effect_p_value_and_lift_say_the_same(seen: pd.DataFrame) -> None:
    excluded = (seen["effect_low"] > 0) | (seen["effect_high"] < 0)
    assert (excluded == seen["fixed"]).all()
    bounded = seen[seen["lift_low"].notna()]
    assert len(bounded) > 0.99 * len(seen)
    excluded = (bounded["lift_low"] > 0) | (bounded["lift_high"] < 0)
    assert (excluded == bounded["fixed"]).all()


def test_the_stricter_rule_calls_fewer(seen: pd.DataFrame, found: pd.DataFrame) -> None:
    assert seen.loc[seen["always_valid"], "fixed"].all()
    table = asos.by_metric(found)
    peeked, end = table["at some look, fixed interval"], table["significant at the end"]
    assert (peeked >= end).all()
    assert (peeked >= table["at some look, always-valid"]).all()
    assert (end >= table["after Benjamini-Hochberg"]).all()
    assert (table["after Benjamini-Hochberg"] >= table["after Holm"]).all()
    assert (table["up"] + table["down"] == end).all()
    assert (peeked - table["of these not at the end"] == end).all()
    assert (table.loc["all"] == table.drop("all").sum()).all()
    assert peeked["all"] > end["all"]


def test_shares_called_never_fall_and_end_at_the_table(
    seen: pd.DataFrame, found: pd.DataFrame
) -> None:
    shares = asos.called(seen, np.array([0.1, 0.5, 1.0]))
    assert (np.diff(shares["fixed"]) >= 0).all()
    assert (shares["always_valid"] <= shares["fixed"]).all()
    assert shares["fixed"][-1] == pytest.approx(found["ever_fixed"].mean())
    assert shares["latest"][-1] == pytest.approx(found["fixed"].mean())


def test_sample_ratios_are_by_variant(rows: pd.DataFrame) -> None:
    ratios = asos.sample_ratios(rows)
    assert len(ratios) == rows.groupby(asos.KEYS[:2]).ngroups
    # the bulk of real experiments is fair: the median share is one half
    assert ratios["share"].median() == pytest.approx(0.5, abs=1e-3)
    assert (ratios.loc[(ratios["share"] - 0.5).abs() > 0.05, "p_value"] < 1e-6).all()


def test_the_page_is_written_with_its_picture(rows: pd.DataFrame, tmp_path: Path) -> None:
    parquet = tmp_path / "asos.parquet"
    some = rows["experiment_id"].isin(rows["experiment_id"].unique()[:5])
    rows[some].to_parquet(parquet)
    asos.main(parquet, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("# The statistics on 5 real experiments")
    assert "(images/asos.png)" in text
    with Image.open(tmp_path / "images" / "asos.png") as picture:
        assert picture.width == 900
    assert (tmp_path / "images" / "asos.png").stat().st_size < 200_000


def look(day: float, mean_t: float, n: float = 400, **changed: float) -> dict[str, object]:
    row = {
        "experiment_id": "e", "variant_id": 1, "metric_id": 1, "time_since_start": day,
        "count_c": n, "count_t": n, "mean_c": 1.0, "mean_t": mean_t,
        "variance_c": 1.0, "variance_t": 1.0,
    }  # fmt: skip
    return row | changed


def test_peeking_on_a_table_worked_by_hand() -> None:
    # standard errors sqrt(2 / n): 0.0707, 0.05, 0.0354; effects 2.1, 0.5 and 1.1 of them
    table = [
        look(2.0, 1.1485), look(4.0, 1.025, 800), look(8.0, 1.0389, 1_600),
        look(1.0, 1.5, variance_t=np.nan), look(0.5, 1.5, 0.0),
    ]  # fmt: skip
    seen = asos.looks(pd.DataFrame(table).sort_values("time_since_start"))
    assert seen["progress"].tolist() == [0.25, 0.5, 1.0]
    assert seen["fixed"].tolist() == [True, False, False]
    assert not seen["always_valid"].any()
    found = asos.outcomes(seen).iloc[0]
    assert (found["ever_fixed"], found["fixed"], found["n_looks"]) == (True, False, 3)
    shares = asos.called(seen, np.array([0.2, 0.3, 1.0]))
    assert shares["fixed"].tolist() == [0, 1, 1]
    assert shares["latest"].tolist() == [0, 1, 0]


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"experiment_id": ["a"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="lacks count_c, count_t"):
        asos.read(tmp_path / "other.parquet")
