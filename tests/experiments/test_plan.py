from datetime import date
from pathlib import Path

import pytest

from experiments.plan import DAILY, DAILY_FILE, Plan, parse_plan, read_plan

DAY = date(2026, 11, 15)


def parsed(text: str) -> Plan:
    return parse_plan(f'name = "mine"\n{text}', "mine.toml")


def test_the_daily_plan_says_what_the_defaults_say() -> None:
    assert read_plan(DAILY_FILE) == DAILY
    assert Plan("daily", question=DAILY.question) == DAILY


def test_everything_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("""
        name = "mine"
        question = "Does it help?"
        control = "object_crop"
        treatment = "presence"
        arms = ["targeted"]
        primary = ["click"]
        guardrails = []
        segments = ["platform"]
        most_pages_a_day = 50
        level = 0.1
        worthwhile = 0
        [window]
        days = 2
        last = 2026-11-15
    """)
    assert read_plan(file) == Plan(
        "mine", "presence", "object_crop", "Does it help?", ("targeted",), ("click",), (),
        ("platform",), 50, 2, DAY, 0.1, 0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("treatmnt = 'x'", "no key 'treatmnt'"),
        ("primary = 'save'", "primary = 'save' has the wrong type"),
        ("primary = ['saves']", "no metric 'saves'; there are save"),
        ("primary = ['diversity']", "diversity cannot decide"),
        ("primary = []", "at least one primary metric"),
        ("treatment = 'whole_image'", "both whole_image"),
        ("segments = ['country']", "no segment 'country'; there are query_has_object"),
        ("level = 5.0", "shares below 1"),
        ("most_pages_a_day = 0", "planned_users are at least 1"),
        ("[window]\ndays = 0", "days, most_pages_a_day and planned_users are at least 1"),
        ("[window]\nlast = '2026-11-15'", "wrong type"),
        ("[window]\nfirst = 2026-11-15", "days and last only"),
        ("window = 3", "days and last only"),
        ("level = ", "Invalid value"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"mine\.toml is not a plan.*" + reason):
        parsed(text)


def test_a_plan_needs_a_name() -> None:
    with pytest.raises(ValueError, match="no name"):
        parse_plan("", "mine.toml")


def test_all_ranked_arms_are_compared_unless_some_are_named() -> None:
    ranked = ("presence", "targeted", "whole_image")
    assert DAILY.compared(ranked, DAY) == ("whole_image", "targeted", "presence")
    assert parsed("arms = ['targeted']").compared(ranked, DAY) == ("whole_image", "targeted")
    with pytest.raises(ValueError, match="oracle has no ranking of 2026-11-15; ranked were"):
        parsed("arms = ['oracle']").compared(ranked, DAY)


def test_the_family_holds_what_could_ship() -> None:
    arms = ("whole_image", "whole_image_aa", "oracle", "targeted", "with_look", "my_own")
    assert DAILY.family(arms) == (
        ("targeted", "save"), ("targeted", "click"), ("my_own", "save"), ("my_own", "click"),
    )  # fmt: skip
