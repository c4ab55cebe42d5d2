import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ranking.engagement import (
    day_engagement,
    features_before,
    refresh_engagement,
    smoothed_ratio,
)
from sql.database import Database
from sql.tables import ACTIONS, ENGAGEMENT_FEATURES

PAIR = ["query_pin_id", "candidate_pin_id"]


def refresh(database: Database, log: object, cutoff: int = 4, last: int = 5) -> int:
    return refresh_engagement(database, log.day(0), log.day(last), log.day(cutoff))


def table(database: Database, name: str) -> pd.DataFrame:
    return database.read(
        f"SELECT * FROM {name} ORDER BY date, query_pin_id, candidate_pin_id"
    ).to_pandas()


def test_three_impressions_worked_by_hand(database: Database, log: object, tmp_path: Path) -> None:
    """At position 1 on ios one of two is saved; at position 1 on web the only one is not."""
    noon = dt.datetime(2026, 3, 1, 12)
    for name in ("requests", "impressions", "engagements"):
        log.tables[name] = log.tables[name].slice(0, 0)
    for request, candidate, platform in (
        ("a", "c00", "ios"),
        ("b", "c01", "ios"),
        ("c", "c00", "web"),
    ):
        log.add("requests", request_id=request, user_id="u", query_pin_id="q00",
                requested_at=noon, policy="random", platform=platform)  # fmt: skip
        log.add("impressions", request_id=request, candidate_pin_id=candidate, position=1)
    log.add("engagements", request_id="a", candidate_pin_id="c00", action="save", engaged_at=noon)
    log.ingest(database, tmp_path / "source")
    rows = day_engagement(database, log.day(0)).to_pandas().set_index("candidate_pin_id")
    assert rows["n_impressions"].to_dict() == {"c00": 2, "c01": 1}
    assert rows["n_save"].to_dict() == {"c00": 1, "c01": 0}
    assert rows["expected_save"].to_dict() == {"c00": 0.5, "c01": 0.5}
    assert (rows[["n_click", "expected_click"]] == 0).all(axis=None)

    refresh(database, log)
    after = table(database, "engagement_features").set_index(["date", "candidate_pin_id"])
    next_ranking = after[after["query_pin_id"] == "q00"].loc[log.day(4)]
    assert next_ranking.loc["c00", "pair_save_ratio"] == (1 + 3) / (0.5 + 3)
    assert next_ranking.loc["c01", "candidate_save_ratio"] == (0 + 3) / (0.5 + 3)
    assert next_ranking.loc["c02", "pair_save_ratio"] == 1
    assert next_ranking.loc["c00", "candidate_n_impressions"] == 2
    assert next_ranking.loc["c00", "candidate_age_days"] == 4 + 1.5
    assert (after.loc[log.day(0), "pair_n_impressions"] == 0).all()


def test_expected_actions_add_up_to_the_actions_of_every_day(
    database: Database, log: object, tmp_path: Path
) -> None:
    log.ingest(database, tmp_path / "source")
    refresh(database, log)
    days = table(database, "pin_pair_engagement").groupby("date").sum(numeric_only=True)
    assert len(days) == 6
    assert days["n_impressions"].sum() == len(log.tables["impressions"])
    for action in ACTIONS:
        assert np.allclose(days[f"expected_{action}"], days[f"n_{action}"])


def test_the_features_are_those_of_a_plain_group_by(
    database: Database, log: object, tmp_path: Path
) -> None:
    log.ingest(database, tmp_path / "source")
    refresh(database, log)
    shown = log.tables["impressions"].to_pandas().merge(log.tables["requests"].to_pandas())
    shown["day"] = shown["requested_at"].dt.date
    acted = log.tables["engagements"].to_pandas()
    acted = acted.assign(save=1, engaged=acted["engaged_at"].dt.date)
    shown = shown.merge(acted, how="left")
    shown["save"] = (shown["engaged"] == shown["day"]).astype(float)
    shown["expected"] = shown.groupby(["day", "position", "platform"])["save"].transform("mean")
    day = log.day(4)
    past = shown[shown["day"] < day]
    features = features_before(database, day, all_candidates=True).to_pandas()
    assert len(features) == len(log.tables["candidates"])
    for side, keys in (("pair", PAIR), ("candidate", PAIR[1:])):
        sums = past.groupby(keys)[["save", "expected"]].sum().reset_index()
        both = features.merge(sums, how="left", on=keys).fillna(0)
        ratio = smoothed_ratio(both["save"], both["expected"])
        assert np.allclose(both[f"{side}_save_ratio"], ratio)


@pytest.mark.parametrize("leak", ["on the day", "the future", "after midnight"])
def test_nothing_of_the_day_or_later_moves_the_features_of_the_day(
    leak: str, database: Database, log: object, tmp_path: Path
) -> None:
    log.ingest(database, tmp_path / "source")
    refresh(database, log)
    day = log.day(4)
    before = {d: features_before(database, d, all_candidates=True) for d in (day, log.day(5))}
    requests = log.tables["requests"].to_pandas()
    requests = requests[requests["requested_at"].dt.date < day] if leak == "after midnight" else (
        requests[requests["requested_at"].dt.date >= day]
    )  # fmt: skip
    if leak == "the future":  # all of it: what was saved is not, what was not is
        old = log.tables["engagements"].to_pandas()
        kept = old[~old["request_id"].isin(requests["request_id"])]
        every = log.tables["impressions"].to_pandas().merge(requests)
        merged = every.merge(old, how="left", on=["request_id", "candidate_pin_id"])
        flipped = merged[merged["action"].isna()].assign(action="save")
        flipped["engaged_at"] = flipped["requested_at"]
        both = pd.concat([kept, flipped[kept.columns]])
        log.tables["engagements"] = pa.Table.from_pandas(both, preserve_index=False)
    else:
        on_time = requests[requests["requested_at"].dt.date <= day]
        request = on_time.iloc[-1]
        shown = log.tables["impressions"].filter(
            pa.compute.equal(log.tables["impressions"]["request_id"], request["request_id"])
        )
        for candidate in shown["candidate_pin_id"].to_pylist():
            log.add(
                "engagements", request_id=request["request_id"], candidate_pin_id=candidate,
                action="hide", engaged_at=dt.datetime.combine(day, dt.time(12)) if
                leak == "after midnight" else request["requested_at"].to_pydatetime(),
            )  # fmt: skip
    log.ingest(database, tmp_path / "source")
    refresh(database, log)
    assert features_before(database, day, all_candidates=True).equals(before[day])
    later = features_before(database, log.day(5), all_candidates=True)
    assert later.equals(before[log.day(5)]) == (leak == "after midnight")


def test_day_after_day_gives_the_same_rows_as_all_at_once(
    database: Database, log: object, tmp_path: Path
) -> None:
    tables = ("pin_pair_engagement", "engagement_features")
    log.ingest(database, tmp_path / "source", 4)
    refresh(database, log, cutoff=3, last=4)
    shown_then = table(database, "pin_pair_engagement")
    log.ingest(database, tmp_path / "source", 5)
    refresh(database, log, cutoff=4)
    grown = [table(database, name) for name in tables]
    for name in tables:
        with database.engine.begin() as connection:
            connection.exec_driver_sql(f"DELETE FROM {name}")
            connection.exec_driver_sql(f"DELETE FROM manifest WHERE step = '{name}'")
    refresh(database, log, cutoff=4)
    pd.testing.assert_frame_equal(table(database, tables[0]), grown[0])
    pd.testing.assert_frame_equal(grown[0].iloc[: len(shown_then)], shown_then)
    again = grown[1].merge(table(database, tables[1]), on=["date", *PAIR], suffixes=("", "_again"))
    for feature in ENGAGEMENT_FEATURES:
        assert again[feature].equals(again[f"{feature}_again"].rename(feature))


def test_unchanged_days_are_skipped_and_changed_ones_are_not(
    database: Database, log: object, tmp_path: Path
) -> None:
    log.ingest(database, tmp_path / "source")
    assert refresh(database, log) > 0
    assert refresh(database, log) == 0
    before = table(database, "engagement_features")
    log.tables["engagements"] = log.tables["engagements"].slice(1)  # one save of the first day less
    log.ingest(database, tmp_path / "source")
    assert refresh(database, log) > 0
    after = table(database, "engagement_features")
    changed = (before.set_index(["date", *PAIR]) != after.set_index(["date", *PAIR])).any(axis=1)
    assert set(before["date"][changed.to_numpy()]) == {log.day(n) for n in range(1, 6)}


def test_going_back_a_day_takes_the_later_rows_away(
    database: Database, log: object, tmp_path: Path
) -> None:
    log.ingest(database, tmp_path / "source")
    refresh(database, log)
    log.ingest(database, tmp_path / "source", 4)
    refresh(database, log, cutoff=3, last=4)
    for name in ("pin_pair_engagement", "engagement_features"):
        assert table(database, name)["date"].max() == log.day(4)


def test_the_ranking_date_must_be_one_of_the_days(database: Database, log: object) -> None:
    with pytest.raises(ValueError, match="must lie between"):
        refresh(database, log, cutoff=9)


def test_a_day_without_log_has_no_rows(database: Database) -> None:
    assert len(day_engagement(database, dt.date(2026, 3, 1))) == 0
    assert len(features_before(database, dt.date(2026, 3, 1), all_candidates=True)) == 0
