from experiments.arms import AA, ABLATIONS, ARMS, CONTROL, FAMILIES, PRIMARY, SHIPPABLE
from sql.tables import ENGAGEMENT_FEATURES, PAIR_FEATURES, PAIR_INTEREST

KNOWN = {"source", *ENGAGEMENT_FEATURES, *PAIR_FEATURES, *PAIR_INTEREST}
ALWAYS = {"source", *ENGAGEMENT_FEATURES}


def visual(name: str) -> set[str]:
    return set(ARMS[name].columns) - ALWAYS


def test_every_column_exists_and_is_named_once() -> None:
    for arm in ARMS.values():
        assert set(arm.columns) <= KNOWN
        assert len(set(arm.columns)) == len(arm.columns)
        assert set(arm.columns) >= ALWAYS


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


def test_the_twin_differs_from_the_control_by_seed_alone() -> None:
    assert ARMS[AA].columns == ARMS[CONTROL].columns
    assert ARMS[AA].seed != ARMS[CONTROL].seed
    assert [arm.name for arm in ARMS.values() if arm.control] == [CONTROL]


def test_the_oracle_is_targeted_on_true_boxes_and_is_never_shipped() -> None:
    assert ARMS["oracle"].columns == ARMS[PRIMARY].columns
    assert {a.name for a in ARMS.values() if a.feature_version_kind == "true_boxes"} == {"oracle"}
    assert SHIPPABLE == ("object_crop", "object_crop_padded", "presence", PRIMARY)


def test_every_targeted_column_is_in_one_family_or_the_control() -> None:
    named = [column for columns in FAMILIES.values() for column in columns]
    assert sorted([*named, "whole_cosine"]) == sorted(visual(PRIMARY))
    for family, columns in FAMILIES.items():
        assert visual(f"with_{family}") == {"whole_cosine", *columns}
    assert not set(ABLATIONS) & set(SHIPPABLE)
