import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.commands import app
from sql.database import Database
from sql.tables import requests
from tests.experiments.test_experiment import VERSION, fill

PLAN = 'name = "mine"\narms = ["targeted"]\nsegments = []\n'


@pytest.fixture
def home(database: Database, world: Callable[..., Any], theta: np.ndarray) -> Path:
    fill(database, world(), theta)
    database.mark_done("feature_version", "detected", VERSION, 0, feature_version=VERSION)
    return Path(str(database.engine.url.database)).parent


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "mine.toml"
    file.write_text(PLAN)
    return file


def run(home: Path, *arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(
        app, [*map(str, arguments), "--home", str(home)], env={"COLUMNS": "220"}
    )
    assert done.exit_code == code, done.output
    return done.output


def test_a_plan_is_run_kept_and_made_anew(home: Path, plan: Path) -> None:
    printed = run(home, "run", plan)
    assert printed.startswith("Ship targeted: saves per request +")
    assert "checks passed" in printed
    assert "Next: related-pins experiment history" in printed
    run_id = printed.split("Run ")[1].split()[0]
    listed = json.loads(run(home, "history", "--json"))
    assert [(row["run_id"], row["name"]) for row in listed] == [(run_id, "mine")]
    assert run_id in run(home, "history")
    assert "all 12 lifts are the same" in run(home, "again", run_id[:8])


def test_comparing_writes_nothing(home: Path) -> None:
    printed = run(home, "compare", "whole_image_aa", "targeted", "--date", "2026-11-08")
    assert "targeted" in printed
    assert "snips_item_position" in printed
    assert "95% however often one looks" in printed
    rows = json.loads(run(home, "compare", "whole_image_aa", "targeted", "--json"))
    assert {row["arm"] for row in rows} == {"targeted"}
    assert json.loads(run(home, "history", "--json")) == []


def test_checks_are_shown_and_a_failed_one_is_exit_code_3(home: Path, database: Database) -> None:
    assert "FAILED" not in run(home, "check")
    kept = database.read("SELECT * FROM requests WHERE policy <> 'random' OR date < '2026-11-08'")
    database.replace(requests, kept)
    printed = run(home, "check", code=3)
    assert "sample_ratio_by_day" in printed
    found = json.loads(run(home, "check", "--json", code=3))
    assert {row["name"] for row in found if not row["passed"]} >= {"sample_ratio_by_day"}


def test_power_says_what_could_be_seen_and_how_long_more_would_take(home: Path) -> None:
    printed = run(home, "power", "--lift", "0.02")
    assert "days" in printed
    rows = {row["metric"]: row for row in json.loads(run(home, "power", "--json"))}
    assert rows["save"]["detectable_lift"] == pytest.approx(
        2.8016 * rows["save"]["standard_error"], rel=1e-3
    )
    sharper = json.loads(run(home, "power", "--json", "--lift", "0.001"))
    assert all(s["days"] >= rows[s["metric"]]["days"] for s in sharper)
