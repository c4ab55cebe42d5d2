"""The status as text, JSON and Prometheus metrics, read back by a strict parser."""

import datetime as dt
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sql.lock import Holder
from sql.next_run import NextRun
from sql.status import PastDay, Run, Status, TableState, Version
from sql.status_text import as_json, as_metrics, as_text

DAY, AT = dt.date(2026, 11, 15), dt.datetime(2026, 11, 16, 2, 15)
HEAD = re.compile(r"# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|$)')
Labels = frozenset[tuple[str, str]]


def run(command: str, status: str, hours: int = 0, seconds: float | None = 60.0) -> Run:
    start = AT + dt.timedelta(hours=hours)
    error = "no disk" if status == "failed" else None
    return Run(f"{command}{hours}", command, DAY, status, start, seconds, None, error)


STATUS = Status(
    home="/srv/related-pins",
    database="sqlite:////srv/related-pins/related_pins.db",
    at=AT,
    holder=None,
    runs=(run("daily", "failed", 3), run("rank", "killed", 2, None),
          run("daily", "done", 0, 652.7)),
    tables={"pins": TableState(7089, None), "requests": TableState(161_789, DAY),
            "models": TableState(0, None)},
    versions=(Version("8734", "detected", 7089, 23_801, 28, 106_335, 15, AT),
              Version("24a0", None, 5, 6, 0, 0, 0, None)),
    disk={"database": 697_942_016, "visuals/8734": 28_803_357},
    disk_free=66_209_918_976,
    next_run=NextRun(dt.date(2026, 11, 16), "/data/pins", None, 12, 3,
                     (DAY, dt.date(2026, 11, 16))),
)  # fmt: skip


def parsed(text: str) -> dict[str, dict[Labels, float]]:
    """Metrics by name and labels; every family has one HELP, then one TYPE, then its samples."""
    assert text.endswith("\n")
    found: dict[str, dict[Labels, float]] = {}
    family, expected = "", "HELP"
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("#"):
            head = HEAD.fullmatch(line)
            assert head is not None, line
            kind, name, rest = head.groups()
            assert kind == expected, line
            if kind == "HELP":
                assert name not in found, f"{name} is there twice"
                family, expected = name, "TYPE"
                found[name] = {}
            else:
                assert (name, rest) == (family, "gauge")
                expected = "HELP"
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample is not None, line
            name, labels, value = sample.groups()
            assert (name, expected) == (family, "HELP"), line
            key = labels_of(labels or "")
            assert key not in found[name], line
            found[name][key] = float(value)
    assert expected == "HELP"
    return found


def labels_of(text: str) -> Labels:
    at, found = 0, []
    while at < len(text):
        label = LABEL.match(text, at)
        assert label is not None, text
        name, value = label.groups()
        plain = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], value)
        found.append((name, plain))
        at = label.end()
    assert len(dict(found)) == len(found)
    return frozenset(found)


def value(metrics: dict[str, dict[Labels, float]], name: str, **labels: str) -> float:
    return metrics[f"related_pins_{name}"][frozenset(labels.items())]


def test_metrics_are_those_of_the_status() -> None:
    metrics = parsed(as_metrics(STATUS))
    assert all(name.startswith("related_pins_") for name in metrics)
    assert value(metrics, "lock_held") == 0
    assert value(metrics, "table_rows", table="requests") == 161_789
    day = dt.datetime(2026, 11, 15, tzinfo=dt.UTC).timestamp()
    assert metrics["related_pins_table_last_date_timestamp_seconds"] == {
        frozenset({("table", "requests")}): day
    }
    assert metrics["related_pins_last_run_status"] == {
        frozenset({("command", "daily"), ("status", "failed")}): 1,
        frozenset({("command", "rank"), ("status", "killed")}): 1,
    }
    assert value(metrics, "last_done_seconds", command="daily") == 652.7
    assert value(metrics, "last_done_date_timestamp_seconds", command="daily") == day
    assert value(metrics, "disk_bytes", part="visuals/8734") == 28_803_357
    assert value(metrics, "described_pins", feature_version="24a0", current="") == 5
    assert value(metrics, "next_run_new_pins") == 12
    assert value(metrics, "next_run_days_to_pair") == 2
    assert value(metrics, "source_readable") == 1


def test_what_is_not_known_is_absent() -> None:
    unknown = replace(STATUS, runs=(), next_run=NextRun(None, None, "no source"))
    metrics = parsed(as_metrics(replace(unknown, holder=Holder())))
    assert value(metrics, "source_readable") == 0
    assert value(metrics, "lock_held") == 1
    assert "related_pins_next_run_new_pins" not in metrics
    assert metrics["related_pins_last_done_seconds"] == {}
    text = as_text(unknown)
    for words in ("Last runs (UTC)\n  none", "none before the first", "not known     no source"):
        assert words in text


@given(st.text(st.characters(codec="utf-8"), max_size=12))
def test_any_part_of_the_home_survives_its_label(part: str) -> None:
    metrics = parsed(as_metrics(replace(STATUS, disk={part: 7})))
    assert value(metrics, "disk_bytes", part=part) == 7


@pytest.mark.parametrize(
    "text",
    ["a 1", "# TYPE a gauge\na 1\n", "# HELP a x\n# TYPE a gauge\nb 1\n",
     '# HELP a x\n# TYPE a gauge\na{b="c} 1\n', "# HELP a x\n# TYPE a gauge\na one\n",
     "# HELP a x\n# TYPE a gauge\na 1\na 2\n", "# HELP a-b x\n# TYPE a-b gauge\n"],
)  # fmt: skip
def test_the_parser_refuses_what_is_not_the_format(text: str) -> None:
    with pytest.raises(AssertionError):
        parsed(text)


def test_json_has_every_field_and_times_in_utc() -> None:
    found = json.loads(as_json(STATUS))
    assert set(found) == set(Status.__dataclass_fields__)
    assert found["runs"][0]["started_at"] == "2026-11-16T05:15:00Z"
    assert found["runs"][0]["error"] == "no disk"
    assert found["tables"]["requests"] == {"rows": 161_789, "last_date": "2026-11-15"}
    assert found["next_run"]["days_to_pair"] == ["2026-11-15", "2026-11-16"]


def test_the_text_has_runs_rows_versions_disk_and_the_next_run() -> None:
    text = as_text(replace(STATUS, holder=Holder("daily", 7, "worker-3", AT)))
    for words in (
        "Writing   `related-pins daily` (process 7 on worker-3, since 2026-11-16 02:15:00 UTC)",
        "daily       2026-11-15  failed       60 s  no disk",
        "requests                    161,789  2026-11-15",
        "current (detected)", "not current", "697.9 MB", "days to pair  2 (2026-11-15 to",
    ):  # fmt: skip
        assert words in text, words
    assert "models" not in text


def test_days_of_a_backfill_that_are_not_taken_over() -> None:
    past = (PastDay(DAY, made=True), PastDay(dt.date(2026, 11, 16), made=False))
    at_work = replace(STATUS, past_days=past, holder=Holder("backfill", 7, "worker-3", AT))
    assert "Backfill  2026-11-15 made\nBackfill  2026-11-16 being made\n" in as_text(at_work)
    left = as_text(replace(at_work, holder=None))
    assert "2026-11-15 not taken over; the next command that writes deletes it\n" in left
