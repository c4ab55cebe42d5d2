"""The status for people, as JSON, and as Prometheus metrics."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from sql.status import Run, Status, Version

__all__ = ["as_json", "as_metrics", "as_text"]

LAST_RUNS = 10
Sample = tuple[Mapping[str, str], float]


def as_json(status: Status) -> str:
    """All of the status as one JSON object; times are UTC in ISO 8601, sizes are bytes."""
    return json.dumps(asdict(status), indent=1, default=_plain)


def as_text(status: Status) -> str:
    """The last ten runs, rows and last dates, feature versions, disk, and the next run."""
    lines = [f"Database  {status.database}", f"Writing   {status.holder or 'nobody'}"]
    lines += _past_day_lines(status)
    lines += ["", "Last runs (UTC)"]
    lines += [_run_line(run) for run in status.runs[:LAST_RUNS]] or ["  none"]
    lines += ["", "Rows, and the last date"]
    lines += [f"  {name:22} {state.rows:>12,}  {state.last_date or ''}".rstrip()
              for name, state in status.tables.items() if state.rows]  # fmt: skip
    lines += ["", "Feature versions"]
    lines += [_version_line(version) for version in status.versions] or ["  none"]
    lines += ["", "Disk"]
    lines += [f"  {part:32} {_size(size)}" for part, size in status.disk.items()]
    lines += [f"  {'free':32} {_size(status.disk_free)}"]
    return "\n".join([*lines, "", "Next daily run", *_next_lines(status)])


def as_metrics(status: Status) -> str:
    """The status in the Prometheus text format, for the textfile collector of node_exporter
    (https://prometheus.io/docs/instrumenting/exposition_formats/). All are gauges.
    """
    lines = []
    for name, meaning, samples in _metrics(status):
        lines += [f"# HELP related_pins_{name} {meaning}", f"# TYPE related_pins_{name} gauge"]
        lines += [f"related_pins_{name}{_labels(labels)} {value!r}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _metrics(status: Status) -> Iterable[tuple[str, str, list[Sample]]]:
    yield "status_timestamp_seconds", "When this was read.", [({}, _epoch(status.at))]
    yield "lock_held", "1 while a command writes.", [({}, int(status.holder is not None))]
    yield from _run_metrics(status.runs)
    yield "table_rows", "Rows of a table.", [
        ({"table": name}, state.rows) for name, state in status.tables.items()
    ]  # fmt: skip
    yield "table_last_date_timestamp_seconds", "Start of the last date in a table.", [
        ({"table": name}, _epoch(state.last_date))
        for name, state in status.tables.items() if state.last_date
    ]  # fmt: skip
    yield "described_pins", "Pins with visuals by feature version; current is the kind or empty.", [
        ({"feature_version": v.feature_version, "current": v.current or ""}, v.pins)
        for v in status.versions
    ]  # fmt: skip
    yield "disk_bytes", "Bytes by part of the home.", [
        ({"part": part}, size) for part, size in status.disk.items()
    ]  # fmt: skip
    yield "disk_free_bytes", "Free bytes on the disk of the home.", [({}, status.disk_free)]
    yield from _next_metrics(status)


def _run_metrics(runs: Iterable[Run]) -> Iterable[tuple[str, str, list[Sample]]]:
    newest_first = list(runs)
    last = {run.command: run for run in reversed(newest_first)}
    done = {run.command: run for run in reversed(newest_first) if run.status == "done"}
    yield "last_run_status", "1 for the status of the last run of a command.", [
        ({"command": command, "status": run.status}, 1) for command, run in last.items()
    ]  # fmt: skip
    yield "last_run_start_timestamp_seconds", "Start of the last run of a command.", [
        ({"command": command}, _epoch(run.started_at)) for command, run in last.items()
    ]  # fmt: skip
    yield "last_done_date_timestamp_seconds", "Date of the last run that was done.", [
        ({"command": command}, _epoch(run.date)) for command, run in done.items()
    ]  # fmt: skip
    yield "last_done_seconds", "How long the last run that was done took.", [
        ({"command": command}, run.seconds or 0) for command, run in done.items()
    ]  # fmt: skip


def _next_metrics(status: Status) -> Iterable[tuple[str, str, list[Sample]]]:
    plan = status.next_run
    yield "source_readable", "1 where the source of the next run can be read.", [
        ({}, int(plan.unreachable is None))
    ]  # fmt: skip
    if plan.days_to_pair is not None:
        yield "next_run_new_pins", "Pins to be described.", [({}, plan.new_pins or 0)]
        yield "next_run_new_pairs", "Candidate pairs to be added.", [({}, plan.new_pairs or 0)]
        yield "next_run_days_to_pair", "Days to be paired.", [({}, len(plan.days_to_pair))]


def _labels(labels: Mapping[str, str]) -> str:
    r"""
    >>> _labels({"part": 'a"b'}), _labels({})
    ('{part="a\\"b"}', '')
    """
    if not labels:
        return ""
    escaped = (
        (name, value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\""))
        for name, value in labels.items()
    )
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"


def _epoch(time: dt.date) -> float:
    """Seconds since 1970 of a UTC time, or of the start of a UTC day.

    >>> _epoch(dt.date(1970, 1, 2))
    86400.0
    """
    at = time if isinstance(time, dt.datetime) else dt.datetime(time.year, time.month, time.day)
    return at.replace(tzinfo=dt.UTC).timestamp()


def _plain(value: object) -> str:
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="seconds") + "Z"
    return str(value)


def _past_day_lines(status: Status) -> list[str]:
    if not status.past_days:
        return []
    at_work = status.holder is not None and status.holder.command == "backfill"
    left = "not taken over; the next command that writes deletes it"
    words = {True: "made", False: "being made"} if at_work else dict.fromkeys((True, False), left)
    return [f"Backfill  {day.date} {words[day.made]}" for day in status.past_days]


def _run_line(run: Run) -> str:
    took = "" if run.seconds is None else f"{run.seconds:,.0f} s"
    words = f"  {run.started_at:%F %T}  {run.command:11} {run.date}  {run.status:7} {took:>9}"
    return f"{words}  {run.error or ''}".rstrip()


def _version_line(version: Version) -> str:
    last = f"{version.last_shard_at:%F %T}" if version.last_shard_at else "no shard"
    return (
        f"  {version.feature_version:18} {version.pins:>10,} pins {version.objects:>11,} objects "
        f"{version.pairs:>11,} pairs {version.days:>4,} days  "
        f"{version.shards:>6,} shards, last {last}  "
        f"{f'current ({version.current})' if version.current else 'not current'}"
    )


def _next_lines(status: Status) -> list[str]:
    plan = status.next_run
    lines = [f"  date          {plan.date or 'none before the first daily run'}",
             f"  source        {plan.source or 'none'}"]  # fmt: skip
    if plan.days_to_pair is None:
        return [*lines, f"  not known     {plan.unreachable}"]
    days = plan.days_to_pair
    which = f" ({days[0]} to {days[-1]})" if days else ""
    return [*lines, f"  new pins      {plan.new_pins:,}", f"  new pairs     {plan.new_pairs:,}",
            f"  days to pair  {len(days)}{which}"]  # fmt: skip


def _size(n_bytes: int) -> str:
    """
    >>> _size(697_942_016), _size(818)
    ('      697.9 MB', '        0.0 MB')
    """
    return f"{n_bytes / 1e6:>11,.1f} MB"
