"""Backfill end to end: days made in several processes are the days that run one by one give."""

import datetime as dt
import multiprocessing as mp
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import backfill
import experiments.arms
import related_pins
from backfill import Backfill, backfill_days, home_of, make_day, publish_day, take_over
from daily import Job, run_day
from experiments.gates import GateFailed
from experiments.thresholds import FILE
from experiments.world.sample import write_sample
from features.visuals.visuals import VisualExtractor
from sql.database import Database, open_database
from sql.home import BACKFILL, feature_versions
from sql.runs import new_run_id
from sql.status import PastDay, Status, status
from sql.status_text import as_text
from sql.tables import METADATA
from tests.home_state import SUMS, State, differences, state
from tests.quick_visuals import quick_extractor

DAYS = [dt.date(2026, 11, 13), dt.date(2026, 11, 14), dt.date(2026, 11, 15)]
SKIPPED = ("rows", "ranking")  # the sample is too small for these gates
PAIRS = ("pair_features", "pair_interest")  # rounded differently where others are made with them
FEW = ("whole_image", "targeted", "whole_image_aa")


def quick() -> VisualExtractor:
    """The quick extractor, in a process that knows few arms."""
    experiments.arms.ARMS = {name: experiments.arms.ARMS[name] for name in FEW}
    return quick_extractor()


@dataclass(frozen=True)
class Filled:
    """A home after a backfill that a gate ended in the middle, and the same that went on: what the
    first said and left, and the days that each did.
    """

    home: Path
    database: Database
    refusal: str
    before: State
    first: Status
    second: list[dt.date]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample whose middle day has lost its crops, all but one."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, pins=100, requests=800, users=150, crops=100)
    crops = pd.read_parquet(folder / "crops.parquet")
    on_day = pd.to_datetime(crops["cropped_at"]).dt.date == DAYS[1]
    crops[~on_day | ~on_day.duplicated()].to_parquet(folder / "crops.parquet")
    return folder


@pytest.fixture(scope="module", autouse=True)
def few_arms() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.arms.ARMS", {n: experiments.arms.ARMS[n] for n in FEW})
        yield


def opened(home: Path) -> Database:
    database = open_database(home / "related_pins.db")
    database.upgrade()
    return database


def emptied(url: str) -> Database:
    database = open_database(url)
    with database.engine.begin() as connection:
        for schema in ("partitions", "public"):
            connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    database.upgrade()
    return database


def work(source: Path, home: Path, database: Database, skip: Sequence[str] = SKIPPED) -> Backfill:
    ids = {day: new_run_id() for day in DAYS}
    return Backfill(source, home, database.url, 4, quick, ids, tuple(skip))


@pytest.fixture(scope="module")
def one_by_one(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after the days one by one, the last day last."""
    home = tmp_path_factory.mktemp("one") / "home"
    job = Job(opened(home), home, DAYS[0], 4, lambda *_: None, SKIPPED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("daily.report_step", lambda *_: {})
        for day in DAYS:
            run_day(replace(job, day=day), source, quick_extractor)
    return home


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(
    request: pytest.FixtureRequest, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Filled]:
    """The same days in two processes; the gate on crops is skipped from the second run on."""
    home = tmp_path_factory.mktemp(request.param) / "home"
    database = (
        opened(home) if request.param == "sqlite"
        else emptied(request.getfixturevalue("postgres_url"))
    )  # fmt: skip
    strict = work(source, home, database, skip=("ranking",))
    with pytest.raises(GateFailed) as failed:
        backfill_days(database, strict, DAYS, 2, lambda *_: None)
    before, first = state(database, home), status(home, database)
    done = backfill_days(database, work(source, home, database), DAYS, 2, lambda *_: None)
    yield Filled(home, database, str(failed.value), before, first, list(done))
    database.engine.dispose()


def comparable(database: Database, home: Path) -> State:
    """What a home holds but for what tells when days were done: rows of true boxes of earlier days,
    whose version is not the current one; candidates on an earlier cutoff that were not shown on
    that day, and what models and features were made from, which names them; the run that first
    set a row aside; reports, which count all rows there are.
    """
    found, current = state(database, home), set(feature_versions(database).values())
    tables = {}
    for name, rows in found.tables.items():
        columns = METADATA.tables[name].columns.keys()
        if "feature_version" in columns and name != "models":
            at = columns.index("feature_version")
            rows = [row for row in rows if row[at] is None or row[at] in current]
        tables[name] = rows
    shown = {row[:3] for row in tables["pin_pair_engagement"]}
    cutoff = DAYS[-1] - dt.timedelta(days=3)
    tables["engagement_features"] = [
        row for row in tables["engagement_features"] if row[0] == cutoff or row[:3] in shown
    ]
    tables["manifest"] = [
        (*row[:3], *row[4:]) if row[0] in ("model", "rankings", "ranking_metrics") else row
        for row in tables["manifest"] if row[0] not in ("engagement_features", "visuals")
    ]  # fmt: skip
    tables["quarantine"] = [row[:-1] for row in tables["quarantine"]]
    return State(tables, {n: h for n, h in found.files.items() if n.startswith("models")})


def test_two_processes_give_what_days_one_by_one_give(one_by_one: Path, filled: Filled) -> None:
    found = comparable(filled.database, filled.home)
    expected = comparable(opened(one_by_one), one_by_one)
    on_server = filled.database.engine.dialect.name == "postgresql"
    for name in (*PAIRS, *SUMS) if on_server else PAIRS:
        rows, others = (pd.DataFrame(home.tables.pop(name)) for home in (found, expected))
        assert len(rows)
        pd.testing.assert_frame_equal(rows, others, rtol=1e-4, atol=1e-5)
    unlike = list(differences(found, expected))
    assert not unlike, "\n".join(unlike)
    reports = {path.relative_to(filled.home).as_posix() for path in filled.home.rglob("report.*")}
    assert reports == {f"reports/{day}/report.{kind}" for day in DAYS for kind in ("html", "png")}
    assert not list((filled.home / BACKFILL).iterdir())


def test_a_gate_that_fails_in_the_middle_ends_it_there(filled: Filled) -> None:
    first, refused, last = DAYS
    own = filled.home / BACKFILL / str(refused)
    assert "rows/crops: 1 rows of crops on 2026-11-14" in filled.refusal
    assert filled.refusal.endswith(
        "The days before it are done, none after it is: the same command goes on with 2026-11-14, "
        f"--from 2026-11-15 leaves it out. What was made of it is in {own}, until the next command."
    )
    for name in ("models", "rankings", "ranking_metrics", "experiment_lift", "experiment_runs"):
        at = METADATA.tables[name].columns.keys().index("date")
        assert {row[at] for row in filled.before.tables[name]} == {first}
    assert {row[0] for row in filled.before.tables["quality_gates"]} == {first, refused}
    assert not any(str(day) in file for file in filled.before.files for day in (refused, last)
                   if not file.startswith(BACKFILL))  # fmt: skip
    assert filled.first.past_days == (PastDay(refused, made=True),)
    runs = [(run.command, run.date, run.status) for run in reversed(filled.first.runs)]
    assert runs == [("backfill", first, "done"), ("backfill", refused, "failed")]
    assert filled.second == [refused, last]


def test_the_state_after_a_backfill(filled: Filled) -> None:
    text = as_text(status(filled.home, filled.database))
    commands = [line.split()[2:5] for line in text.splitlines() if "  2026-" in line[:8]]
    assert commands[:2] == [["daily", "2026-11-15", "done"], ["backfill", "2026-11-14", "done"]]
    assert "Backfill" not in text
    assert "  date          2026-11-16" in text


def test_the_command_says_what_was_done_before(
    source: Path, filled: Filled, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = ["backfill", "--source", source, "--home", filled.home, "--db", filled.database.url,
             "--from", DAYS[0], "--to", DAYS[2], "--jobs", 2]  # fmt: skip
    before = state(filled.database, filled.home)
    monkeypatch.setattr(sys, "argv", ["related-pins", *map(str, words)])
    monkeypatch.setattr(backfill, "visual_extractor", lambda *_: quick_extractor())
    with pytest.raises(SystemExit) as ended:
        related_pins.main()
    backfill.loaded.cache_clear()
    assert not ended.value.code, capsys.readouterr().err
    assert "0 of 3 days done now; the others were done before.\n" in capsys.readouterr().out
    assert not list(differences(state(filled.database, filled.home), before))


def day_job(url: str, home: Path, skip_gates: tuple[str, ...]) -> Job:
    return Job(open_database(url), home, DAYS[1], 4, lambda *_: None, skip_gates)


def publish_killed(url: str, home: Path, made: dict[str, Any]) -> None:
    """Publishes a day in this process, which is killed half-way."""
    vars(backfill)["record"] = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    publish_day(day_job(url, home, SKIPPED), made, quick_extractor())


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
def test_a_day_is_published_whole_when_its_gates_pass(source: Path, filled: Filled) -> None:
    database, home = filled.database, filled.home
    job = day_job(database.url, home, ("rows",))
    again, before = work(source, home, database), comparable(database, home)
    made = make_day(again, job.day)
    gates = home / "gates.toml"
    gates.write_text(
        FILE.read_text().replace("[objects]\nleast_share = 0.3", "[objects]\nleast_share = 2")
    )
    with pytest.raises(GateFailed, match=f"gates failed for {job.day}.*objects/share_of_pins"):
        publish_day(job, made, quick_extractor())
    now = comparable(database, home).tables
    assert now | {"quality_gates": before.tables["quality_gates"]} == before.tables
    gates.unlink()
    arguments = (database.url, home, made)
    killed = mp.get_context("forkserver").Process(target=publish_killed, args=arguments)
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert comparable(database, home).tables["manifest"] != before.tables["manifest"]
    take_over(*home_of(home, job.day), database, home, job.day)
    assert not list(differences(comparable(database, home), before))
