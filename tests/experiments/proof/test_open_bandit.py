from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments.proof import open_bandit
from experiments.proof.open_bandit import CAMPAIGNS, Log, counts, evaluate, fit, page, rates, read

PAGE = Path(__file__).parents[3] / "docs" / "proof-open-bandit.md"
RATE = np.array([[0.30, 0.10, 0.05, 0.20], [0.15, 0.05, 0.02, 0.10]])  # by position and item
BTS = np.array([[0.40, 0.20, 0.10, 0.30], [0.30, 0.20, 0.20, 0.30]])


@pytest.fixture(scope="module")
def real(shared_data: Path) -> pd.DataFrame:
    return evaluate(shared_data / "open_bandit")


def shop(folder: Path, n: int = 6000, shift: float = 1.0) -> Path:
    """Both policies' logs over 2 positions and 4 items; bts is clicked `shift` times as often."""
    rng = np.random.default_rng(0)
    for campaign in CAMPAIGNS:
        for name, policy in (("random", np.full((2, 4), 0.25)), ("bts", BTS)):
            position = rng.integers(2, size=n)
            item = (rng.random((n, 1)) > np.cumsum(policy[position], axis=1)).sum(axis=1)
            rate = RATE[position, item] * (shift if name == "bts" else 1.0)
            rows = {
                "item_id": 10 * item, "position": position + 1,
                "click": (rng.random(n) < rate).astype(int),
                "propensity_score": policy[position, item],
            }  # fmt: skip
            rows |= {name: rng.integers(3, size=n).astype(str) for name in open_bandit.FEATURES}
            pd.DataFrame(rows).to_parquet(folder / f"{name}_{campaign}.parquet")
    return folder


def test_what_was_planted_is_found_in_both_directions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_bandit, "N_REDRAWS", 20)
    table = evaluate(shop(tmp_path))
    assert len(table) == 2 * 2 * 5
    assert (table["refused"] == "").all()
    truth = table["target"].map({"random": RATE.mean(), "bts": (RATE * BTS).sum(axis=1).mean()})
    error = (table["high"] - table["low"]) / (2 * 1.96)
    # 20 estimates: beyond 3.3 standard errors by chance in at most 2 % of such shops
    assert ((table["estimate"] - truth).abs() <= 3.3 * error).all()
    assert (error < 0.1 * truth).all()
    assert (table["p_holm"] > 0.05).all()
    assert table["segment_error"].between(0.5, 2.0).all()


def test_a_log_that_was_clicked_for_other_reasons_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_bandit, "N_REDRAWS", 20)
    table = evaluate(shop(tmp_path, shift=0.6))
    assert (table["p_holm"] < 0.001).all()
    assert "20 differ from the target's own log by more than chance" in page(table)


def test_too_small_a_log_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_bandit, "N_REDRAWS", 20)
    table = evaluate(shop(tmp_path, n=500))
    assert table["refused"].str.contains("under 1,000").all()
    assert table[["estimate", "low", "high", "p_value", "p_holm"]].isna().all(axis=None)


def test_the_model_of_a_row_never_saw_it(tmp_path: Path) -> None:
    log = read(shop(tmp_path), "men")["random"]
    model = fit(log, (2, 4))
    for number, found in enumerate(model.rates):
        rest = model.fold != number
        assert 0.79 < rest.mean() < 0.81
        again = rates(log.item[rest], log.position[rest], log.click[rest], (2, 4))
        assert found == pytest.approx(again)
    assert model.rates.mean(axis=0) == pytest.approx(RATE, abs=0.03)


def test_counts_by_hand() -> None:
    log = Log(
        np.array([2, 0, 2]), np.array([0, 1, 0]), np.zeros(3), np.ones(3), np.zeros(3, dtype=int)
    )
    assert counts(log, (2, 3)).tolist() == [[0, 0, 2], [1, 0, 0]]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="random_men"):
        evaluate(tmp_path)


def test_real_intervals_cover_the_other_policys_log(real: pd.DataFrame) -> None:
    given = real[real["refused"] == ""]
    assert set(given["target"]) == {"bts"}
    assert set(given["campaign"]) == set(CAMPAIGNS)
    assert len(given) == 10
    # ten comparisons: the smallest p-value counts ten times (Holm), not each by itself
    assert given["p_holm"].min() >= 0.05
    assert (given["low"] < given["estimate"]).all()
    assert (given["effective_sample_size"] > 2500).all()
    assert (given["never_logged"] == 0).all()


def test_real_weights_of_a_learned_policy_are_refused(real: pd.DataFrame) -> None:
    refused = real[real["refused"] != ""]
    assert set(refused["logged"]) == {"bts"}
    size = refused.groupby("campaign")["effective_sample_size"].first()
    assert size["men"] == pytest.approx(655.7, abs=0.1)
    assert size["women"] == pytest.approx(2.08, abs=0.01)
    assert refused["estimate"].isna().all()


def test_real_truth_is_the_mean_of_the_log(real: pd.DataFrame, shared_data: Path) -> None:
    for (campaign, target), rows in real.groupby(["campaign", "target"]):
        click = pd.read_parquet(shared_data / f"open_bandit/{target}_{campaign}.parquet")["click"]
        assert rows["truth"].to_numpy() == pytest.approx(click.mean())
        half = 1.96 * click.std() / np.sqrt(len(click))
        assert rows["truth_high"].to_numpy() == pytest.approx(click.mean() + half, abs=1e-6)


def test_the_page_in_docs_is_what_the_numbers_say(real: pd.DataFrame) -> None:
    assert page(real) == PAGE.read_text(encoding="utf-8")


def test_the_command_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_bandit, "N_REDRAWS", 20)
    out = tmp_path / "page.md"
    app = open_bandit.typer.Typer()
    app.command()(open_bandit.main)
    result = CliRunner().invoke(app, [str(shop(tmp_path)), "--write", str(out)])
    assert result.exit_code == 0, result.output
    text = out.read_text(encoding="utf-8")
    assert text.count("| doubly_robust |") == 4
    assert "Of 20 estimates asked for, 0 were refused" in text
