from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from experiments.arms import COLD
from experiments.experiment import ExperimentSummary, Setting, run_cold_start, run_experiment
from experiments.history import differences, past_runs
from experiments.metrics import HEALTH
from experiments.plan import DAILY
from experiments.verdict import ESTIMATOR
from sql import tables
from sql.database import Database
from sql.tables import ACTIONS

FIRST, LAST = date(2026, 11, 1), date(2026, 11, 8)
VERSION = "v1"
RESULTS = ("experiment_lift", "arm_daily_engagement", "experiment_checks", "traffic_metrics")


def write(database: Database, name: str, frame: pd.DataFrame, **where: object) -> None:
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    database.replace(tables.METADATA.tables[name], rows, **where)


def at(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time()) + timedelta(hours=12)


def fill(database: Database, world: Any, theta: np.ndarray) -> None:
    """Writes eight days of a world: requests in random order, and nine times as many others."""
    rng, n_requests = np.random.default_rng(0), 3_000
    days = np.array([FIRST + timedelta(days=int(d)) for d in rng.integers(8, size=n_requests)])
    query = rng.integers(6, size=n_requests)
    numbers = rng.permuted(np.tile(np.arange(10), (n_requests, 1)), axis=1)[:, :4]
    rates = world.rates()[query[:, None], numbers, np.arange(4)] / theta[:, None]
    examined = rng.random((n_requests, 4, 1)) < theta[:, None]
    acted = ((rng.random(rates.shape) < rates) & examined).reshape(-1, 2)
    requests = pd.DataFrame({
        "request_id": [f"r{i}" for i in range(n_requests)], "date": days,
        "user_id": [f"u{u}" for u in rng.integers(500, size=n_requests)],
        "query_pin_id": [f"q{q}" for q in query],
        "requested_at": [at(day) for day in days], "policy": "random",
        "platform": rng.choice(["ios", "web"], n_requests),
    })  # fmt: skip
    others = pd.concat([requests] * 9, ignore_index=True)
    others["request_id"] = [f"p{i}" for i in range(len(others))]
    others["policy"] = "production"
    others["date"] = rng.permutation(others["date"].to_numpy())
    others["platform"] = rng.choice(["ios", "web"], len(others))
    write(database, "requests", pd.concat([requests, others]))
    impressions = requests[["request_id", "date"]].loc[np.repeat(np.arange(n_requests), 4)]
    impressions["candidate_pin_id"] = [f"c{n}" for n in numbers.ravel()]
    impressions["position"] = np.tile([1, 2, 3, 4], n_requests)
    impressions["propensity"] = 0.1
    write(database, "impressions", impressions)
    done = [
        impressions[acted[:, a]].assign(action=action) for a, action in enumerate(("save", "click"))
    ]
    engagements = pd.concat(done)[["request_id", "candidate_pin_id", "action", "date"]]
    engagements["engaged_at"] = [at(day) for day in engagements["date"]]
    write(database, "engagements", engagements)
    pins = [f"q{q}" for q in range(6)] + [f"c{c}" for c in range(10)]
    write(database, "pins", pd.DataFrame({"pin_id": pins, "created_at": datetime(2026, 9, 1)}))
    visuals = pd.DataFrame({
        "feature_version": VERSION, "pin_id": pins[:5], "n_objects": [1, 2, 1, 0, 0],
        "dominant_category": ["dress", "bag", "bag", None, None],
    })  # fmt: skip
    write(database, "pin_visuals", visuals)
    for arm, name in (
        (("better"), "targeted"),
        ("random", "whole_image"),
        ("random", "whole_image_aa"),
    ):
        rank(database, name, world.ranks[arm])


def rank(database: Database, arm: str, ranks: np.ndarray) -> None:
    rows = [
        {"date": LAST, "arm": arm, "query_pin_id": f"q{q}", "candidate_pin_id": f"c{c}",
         "rank": int(place), "score": -float(place)}
        for q, of_query in enumerate(ranks) for c, place in enumerate(of_query)
    ]  # fmt: skip
    write(database, "rankings", pd.DataFrame(rows), date=LAST, arm=arm)


def run(
    database: Database, day: date = LAST, *, days: int = 4, random_share: float | None = None
) -> ExperimentSummary:
    return run_experiment(database, replace(DAILY, days=days), Setting(day, VERSION, random_share))


def results(database: Database) -> dict[str, list[dict[str, Any]]]:
    return {name: database.read(f"SELECT * FROM {name} ORDER BY 1, 2, 3, 4").to_pylist()
            for name in RESULTS}  # fmt: skip


def lifts(database: Database, **where: str) -> pd.DataFrame:
    found = database.read("SELECT * FROM experiment_lift").to_pandas()
    for column, value in where.items():
        found = found[found[column] == value]
    return found.sort_values(["arm", "metric", "segment", "estimator"], ignore_index=True)


def check(database: Database, name: str) -> dict[str, Any]:
    query = "SELECT * FROM experiment_checks WHERE name = :name"
    return database.read(query, name=name).to_pylist()[0]


@pytest.fixture
def filled(database: Database, world: Callable[..., Any], theta: np.ndarray) -> Database:
    fill(database, world(), theta)
    return database


def test_a_planted_lift_is_found(filled: Database, world: Callable[..., Any]) -> None:
    summary = run(filled)
    truth = world()
    expected = truth.truth("better") / truth.truth("random") - 1
    for estimator in ("snips_position_based", "snips_item_position"):
        rows = lifts(filled, arm="targeted", segment="all", estimator=estimator)
        rows = rows.set_index("metric")
        for metric, lift in zip(("save", "click"), expected, strict=True):
            row = rows.loc[metric]
            assert row["ci_low"] < lift < row["ci_high"]
            assert row["control"] * (1 + row["lift"]) == pytest.approx(row["treatment"])
        assert rows["lift"].isna().tolist() == [m not in ("click", "save") for m in rows.index]
    assert summary.verdict.decision == "ship"
    assert not summary.failed_checks
    assert {(x.arm, x.metric) for x in summary.lifts} == {
        (arm, metric) for arm in ("targeted", "whole_image_aa") for metric in ("save", "click")
    }


def test_a_twin_with_the_same_ranking_has_no_lift_at_all(filled: Database) -> None:
    run(filled)
    twin = lifts(filled, arm="whole_image_aa", metric="click")
    assert set(twin[["lift", "ci_low", "ci_high"]].to_numpy().ravel()) == {0.0}
    assert set(twin["p_value"]) == {1.0}


def test_there_is_a_row_for_everything(filled: Database) -> None:
    run(filled)
    found = lifts(filled)
    keys = ["arm", "metric", "segment", "estimator"]
    assert not found.duplicated(keys).any()
    estimated = found[found["estimator"] != "arm_page"]
    assert len(estimated) == np.prod([estimated[key].nunique() for key in keys])
    assert set(estimated["metric"]) == set(ACTIONS)
    assert set(found.loc[found["estimator"] == "arm_page", "metric"]) == set(HEALTH)
    assert found["standard_error"][found["lift"].notna()].ge(0).all()
    sizes = found.groupby("segment")["n_requests"].first()
    whole = filled.read(
        "SELECT COUNT(*) AS n, COUNT(DISTINCT user_id) AS users FROM requests "
        "WHERE policy = 'random' AND date > '2026-11-04'"
    ).to_pylist()[0]
    assert sizes["all"] == whole["n"]
    assert found.query("segment == 'all'")["n_users"].unique().tolist() == [whole["users"]]
    for dimension in ("query_has_object=", "platform=", "query_pin_age="):
        assert sizes[sizes.index.str.startswith(dimension)].sum() == whole["n"]
    categories = sizes[sizes.index.str.startswith("category=")]
    assert categories.sum() == sizes["query_has_object=yes"]
    daily = filled.read("SELECT * FROM arm_daily_engagement").to_pandas()
    assert daily["day"].nunique() == 4
    assert daily.drop_duplicates("day")["n_requests"].sum() == whole["n"]
    assert (daily.query("arm == 'whole_image' and metric == 'save'")["lift"] == 0).all()


def test_the_estimate_of_a_segment_is_that_of_its_requests_alone(
    filled: Database, world: Callable[..., Any]
) -> None:
    run(filled)
    before = lifts(filled, segment="platform=ios")
    keep = filled.read("SELECT * FROM requests WHERE platform = 'ios' OR date < '2026-11-05'")
    filled.replace(tables.requests, keep)
    run(filled)
    pd.testing.assert_frame_equal(before, lifts(filled, segment="platform=ios"))


def test_the_cold_start_has_a_run_of_its_own(filled: Database, world: Callable[..., Any]) -> None:
    setting = Setting(LAST, VERSION)
    assert run_cold_start(filled, setting, 4) is None
    for arm, order in zip(COLD, ("random", "better"), strict=True):
        rank(filled, arm, world().ranks[order])
    found = run_cold_start(filled, setting, 4)
    assert found is not None
    assert {row["arm"] for row in found.lifts} == {COLD[1]}
    saves = next(r for r in found.lifts if (r["metric"], r["estimator"]) == ("save", ESTIMATOR))
    truth = world()
    lift = truth.truth("better")[0] / truth.truth("random")[0] - 1
    assert saves["ci_low"] < lift < saves["ci_high"]
    again = run_cold_start(filled, setting, 4)
    assert again is not None
    assert differences(found, again) == []
    assert [row["name"] for row in past_runs(filled)] == ["cold start"]


def test_twice_changes_nothing(filled: Database) -> None:
    first = run(filled)
    rows = results(filled)
    again = run(filled)
    assert again == replace(first, unchanged=True)
    assert results(filled) == rows


def test_what_happened_later_is_not_known(filled: Database) -> None:
    run(filled)
    rows = results(filled)
    later = LAST + timedelta(days=1)
    seen = filled.read("SELECT * FROM impressions").to_pandas().head(2_000)
    leak = seen[["request_id", "candidate_pin_id"]].assign(
        action="hide", date=later, engaged_at=at(later)
    )
    filled.append(tables.engagements, pa.Table.from_pandas(leak, preserve_index=False))
    new = filled.read("SELECT * FROM requests").to_pandas().head(500)
    new = new.assign(request_id="n" + new["request_id"], date=later, requested_at=at(later))
    filled.append(tables.requests, pa.Table.from_pandas(new, preserve_index=False))
    assert run(filled).unchanged
    filled.replace(tables.manifest, filled.read("SELECT * FROM manifest").slice(0, 0))
    assert not run(filled).unchanged
    assert results(filled) == rows


def test_a_new_ranking_is_a_new_experiment(filled: Database, world: Callable[..., Any]) -> None:
    run(filled)
    rank(filled, "targeted", world().ranks["random"])
    summary = run(filled)
    assert not summary.unchanged
    assert {x.lift for x in summary.lifts} == {0.0}
    assert summary.verdict.decision == "hold"  # a gain of 1 % is ruled out


def test_impressions_without_propensity_are_left_out_and_counted(filled: Database) -> None:
    shown = filled.read("SELECT * FROM impressions").to_pandas()
    shown.loc[shown.index % 10 == 0, "propensity"] = np.nan
    shown.loc[shown.index % 10 == 5, "propensity"] = 1.7
    write(filled, "impressions", shown)
    run(filled)
    found = check(filled, "missing_propensity")
    assert found["value"] == pytest.approx(0.2, abs=0.02)
    assert not found["passed"]
    assert lifts(filled, metric="save", estimator=ESTIMATOR)["lift"].notna().all()


def test_requests_that_no_arm_ranked_are_left_out_and_counted(filled: Database) -> None:
    ranked = filled.read("SELECT * FROM rankings WHERE query_pin_id <> 'q5' OR arm <> 'targeted'")
    filled.replace(tables.rankings, ranked)
    run(filled)
    found = check(filled, "unranked_requests")
    assert found["value"] == pytest.approx(1 / 6, abs=0.03)
    assert not found["passed"]


def test_a_share_that_drops_on_a_day_holds_the_verdict(filled: Database) -> None:
    kept = filled.read("SELECT * FROM requests").to_pandas()
    gone = (kept["policy"] == "random") & (kept["date"] == LAST) & (kept.index % 2 == 0)
    write(filled, "requests", kept[~gone])
    summary = run(filled)
    assert "sample_ratio_by_day" in summary.failed_checks
    assert summary.verdict.decision == "hold"


def test_the_stated_share_is_checked_where_it_is_known(filled: Database) -> None:
    assert not run(filled, random_share=0.1).failed_checks
    summary = run(filled, random_share=0.2)
    assert summary.failed_checks == ("sample_ratio_stated",)


def test_without_random_order_there_is_nothing_to_say(filled: Database) -> None:
    write(
        filled,
        "requests",
        filled.read("SELECT * FROM requests").to_pandas().assign(policy="production"),
    )
    summary = run(filled)
    assert (summary.lifts, summary.n_requests) == ((), 0)
    assert summary.failed_checks == ("random_requests",)
    assert summary.verdict.decision == "hold"


def test_examination_of_the_window_itself_is_told(filled: Database) -> None:
    summary = run(filled, days=8)
    assert summary.failed_checks == ("examination_before_window",)


def test_without_a_control_it_does_not_start(filled: Database) -> None:
    with pytest.raises(ValueError, match="whole_image has no ranking of 2026-11-07"):
        run(filled, LAST - timedelta(days=1))


def test_a_robot_is_left_out_and_counted(filled: Database) -> None:
    run(filled)
    before = lifts(filled)
    pages = filled.read("SELECT * FROM requests WHERE policy = 'random' ORDER BY 1").to_pandas()
    pages = pages[pages["date"] == LAST].sample(301, replace=True, random_state=0)
    pages = pages.assign(request_id=[f"robot{i}" for i in range(301)], user_id="robot")
    filled.append(tables.requests, pa.Table.from_pandas(pages, preserve_index=False))
    shown = pages[["request_id", "date"]].assign(candidate_pin_id="c0", position=1, propensity=0.1)
    filled.append(tables.impressions, pa.Table.from_pandas(shown, preserve_index=False))
    run(filled)
    pd.testing.assert_frame_equal(before, lifts(filled))
    found = check(filled, "robots")
    assert found["detail"].startswith("1 user opened more pages")
    assert found["value"] == pytest.approx(301 / (301 + before["n_requests"].max()))
    assert not found["passed"]


def test_an_estimate_without_support_is_refused(filled: Database) -> None:
    kept = filled.read("SELECT * FROM requests").to_pandas()
    few = kept[(kept["policy"] == "random") & (kept["date"] > date(2026, 11, 4))].iloc[120:]
    write(filled, "requests", kept.drop(few.index))
    run(filled)
    found = lifts(filled, segment="all", metric="save", arm="targeted").set_index("estimator")
    sizes = found["effective_sample_size"]
    assert sizes["snips_item_position"] < 100 <= sizes[ESTIMATOR]
    values = ["control", "treatment", "lift", "ci_low", "ci_high", "p_value", "standard_error"]
    assert found.loc["snips_item_position", values].isna().all()
    said = check(filled, "support")
    assert "worth under 100 impressions: snips_item_position in all" in said["detail"]
    assert not said["passed"]
    assert found.loc[ESTIMATOR, values].notna().all()
