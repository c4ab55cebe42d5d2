from dataclasses import replace

from experiments.arms import (
    AA,
    ABLATIONS,
    ARMS,
    COLD,
    CONTROL,
    FAMILIES,
    LINEAR,
    PRIMARY,
    SHIPPABLE,
)
from experiments.plan import COLD_START, DAILY
from ranking.recipe import Linear
from sql.tables import ENGAGEMENT_FEATURES, PAIR_FEATURES, PAIR_INTEREST

KNOWN = {"source", *ENGAGEMENT_FEATURES, *PAIR_FEATURES, *PAIR_INTEREST}
ALWAYS = {"source", *ENGAGEMENT_FEATURES}
UNKNOWN = {"source", "candidate_age_days"}


def visual(name: str) -> set[str]:
    return set(ARMS[name].columns) - ALWAYS


def test_every_column_exists_and_is_named_once() -> None:
    for arm in ARMS.values():
        assert set(arm.columns) <= KNOWN
        assert len(set(arm.columns)) == len(arm.columns)
        assert set(arm.columns) >= (UNKNOWN if arm.name in COLD else ALWAYS)


def test_arms_see_what_the_design_says() -> None:
    assert visual(CONTROL) == {"whole_cosine"}
    assert visual("object_crop") == {"crop_cosine"}
    assert visual("object_crop_padded") == {"padded_crop_cosine"}
    assert visual("presence") == {
        "whole_cosine", "query_has_object", "candidate_has_object", "both_have_object",
        "same_category", "query_object_area", "candidate_object_area", "query_object_score",
        "candidate_object_score",
    }  # fmt: skip
    assert visual(PRIMARY) == {*PAIR_FEATURES, *PAIR_INTEREST}


def test_cold_arms_see_no_engagement() -> None:
    assert [set(ARMS[name].columns) - UNKNOWN for name in COLD] == [
        visual(CONTROL), visual(PRIMARY)
    ]  # fmt: skip
    assert (COLD_START.control, COLD_START.treatment) == COLD


def test_the_twin_differs_from_the_control_by_seed_alone() -> None:
    assert ARMS[AA].columns == ARMS[CONTROL].columns
    assert ARMS[AA].seed != ARMS[CONTROL].seed
    assert [arm.name for arm in ARMS.values() if arm.control] == [CONTROL]


def test_the_oracle_is_targeted_on_true_boxes_and_is_never_shipped() -> None:
    assert ARMS["oracle"].columns == ARMS[PRIMARY].columns
    assert {a.name for a in ARMS.values() if a.feature_version_kind == "true_boxes"} == {"oracle"}
    assert SHIPPABLE == ("object_crop", "object_crop_padded", "presence", PRIMARY)


def test_the_papers_arms_are_linear_and_judged_only_where_a_plan_names_them() -> None:
    assert LINEAR == ("paper_control", "paper_a", "paper_b", "paper_c")
    assert [visual(name) for name in LINEAR] == [
        {"whole_cosine"}, {"crop_cosine"}, {"crop_cosine"}, {"whole_cosine"}
    ]  # fmt: skip
    assert [ARMS[name].linear for name in LINEAR] == [
        Linear(), Linear(), Linear("crop_cosine", "same_category", 5.0),
        Linear("whole_cosine", "same_category", 5.0),
    ]  # fmt: skip
    assert not set(LINEAR) & set(SHIPPABLE)
    every = tuple(ARMS)
    assert {arm for arm, _ in DAILY.family(every)} == set(SHIPPABLE)
    asked = replace(DAILY, treatment="paper_c", arms=("presence",))
    assert {arm for arm, _ in asked.family((CONTROL, "paper_c", "presence", "paper_a"))} == {
        "paper_c", "presence"
    }  # fmt: skip


def test_every_targeted_column_is_in_one_family_or_the_control() -> None:
    named = [column for columns in FAMILIES.values() for column in columns]
    assert sorted([*named, "whole_cosine"]) == sorted(visual(PRIMARY))
    for family, columns in FAMILIES.items():
        assert visual(f"with_{family}") == {"whole_cosine", *columns}
    assert not set(ABLATIONS) & set(SHIPPABLE)
