"""Ingest: the source folder as known at the end of a day, checked and stored by day.

Logs are stored by UTC day. A day whose rows are as they were is not written again; a day that the
source no longer holds stays; rows after the date are not there yet, and go again if they were.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import sqlalchemy as sa

from sql.checks import NOT_YET, Verdicts, check_all, key_codes
from sql.contract import INPUTS
from sql.database import Database, fingerprint
from sql.forgotten import forgotten_hashes, without_forgotten
from sql.manifest import record
from sql.quarantine import set_aside
from sql.source import content_hashes, read_boxes, read_input, source_files
from sql.tables import METADATA, manifest, quarantine

STEP = "ingest"
RULES = 2  # raise it when a rule changes, so that the same files are read again
BY_DAY = ("requests", "impressions", "engagements", "crops")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class IngestSummary:
    """What became of the source's rows: per table, read = written + set aside + not_yet +
    forgotten.

    `written` are the rows that are in the database now, `set_aside` those in quarantine by
    "table: reason", `not_yet` those after the date, `forgotten` those of erased pins and users
    (counted, kept nowhere), and `replaced` the rows that this call had to
    write anew. `unchanged` says that the source and the date were those of the last call.
    """

    read: dict[str, int]
    written: dict[str, int]
    set_aside: dict[str, int]
    not_yet: dict[str, int]
    forgotten: dict[str, int]
    replaced: dict[str, int]
    unchanged: bool


def ingest(
    database: Database, source: Path, date: date, progress: Progress | None = None
) -> IngestSummary:
    """Bring the input tables to what `source` says of the time up to and including `date` (UTC).

    `progress` is called with what is being done, and how many steps of how many are done. Raises
    FileNotFoundError or ValueError for a source that does not keep the contract, before anything
    is written.
    """
    report = progress or (lambda what, done, of: None)
    files = source_files(Path(source))
    erased = forgotten_hashes(database)
    marks = [sorted(hashes) for hashes in erased.values() if hashes]
    stamp = fingerprint(RULES, date, content_hashes(files), *marks)
    if database.is_done(STEP, "files", stamp):
        return _recorded(database)
    inputs, steps = {}, len(INPUTS) + 1
    for number, contract in enumerate(INPUTS.values()):
        report(f"reading {contract.name}", number, 2 * steps + 1)
        inputs[contract.name] = read_input(files[contract.name], contract)
    inputs["true_boxes"] = read_boxes([p for n, p in files.items() if n not in INPUTS])
    counts = {name: len(rows) for name, rows in inputs.items()}
    inputs, gone = without_forgotten(inputs, erased)
    counts |= {f"{name}: forgotten": n for name, n in gone.items()}
    report("checking", steps, 2 * steps + 1)
    verdicts = check_all(inputs, datetime(date.year, date.month, date.day) + timedelta(days=1))
    database.forget(STEP, "files")
    replaced = {}
    for number, (name, found) in enumerate(verdicts.items()):
        report(f"writing {name}", steps + 1 + number, 2 * steps + 1)
        set_aside(database, name, found, date)
        replaced[name] = _write(database, name, verdicts)
        counts[f"{name}: not yet"] = int(np.sum(found.codes == NOT_YET))
    _remember(database, {piece: (stamp, n) for piece, n in {**counts, "files": 0}.items()})
    report("ingested", 2 * steps + 1, 2 * steps + 1)
    return _recorded(database, replaced)


def _write(database: Database, name: str, verdicts: dict[str, Verdicts]) -> int:
    kept = _finished(name, verdicts)
    kept = kept.take(np.argsort(key_codes(kept, _order(name)), kind="stable"))
    if name in BY_DAY:
        return _write_days(database, name, kept, _days_to_come(name, verdicts))
    stamp = _content(kept)
    if database.is_done(STEP, f"{name}: rows", stamp):
        return 0
    database.forget(STEP, f"{name}: rows")
    n_rows = database.replace(METADATA.tables[name], kept)
    _remember(database, {f"{name}: rows": (stamp, n_rows)})
    return n_rows


def _write_days(database: Database, name: str, kept: pa.Table, to_come: list[date]) -> int:
    """Replace the days whose rows have changed and take out those that are not there yet."""
    recorded = _pieces(database, f"{name}/")
    stamps, parts = {}, {}
    days = pc.run_end_encode(kept["date"].combine_chunks())
    start = 0
    for day, end in zip(days.values.to_pylist(), days.run_ends.to_pylist(), strict=True):
        parts[day] = kept.slice(start, end - start)
        stamps[day] = _content(parts[day])
        start = end
    changed = [d for d, stamp in stamps.items() if recorded.get(f"{name}/{d}") != stamp]
    gone = [d for d in to_come if d not in stamps and f"{name}/{d}" in recorded]
    if not changed and not gone:
        return 0
    database.forget(STEP, *(f"{name}/{d}" for d in changed + gone))
    rows = pa.concat_tables([parts[d] for d in changed]) if changed else kept.slice(0, 0)
    database.replace(METADATA.tables[name], rows, date=changed + gone)
    _remember(database, {f"{name}/{d}": (stamps[d], len(parts[d])) for d in changed})
    return len(rows)


def _finished(name: str, verdicts: dict[str, Verdicts]) -> pa.Table:
    """The kept rows of an input with the columns of its table."""
    found = verdicts[name]
    kept = found.kept()
    if name == "impressions":
        requests = verdicts["requests"].kept()
        at = pc.index_in(kept["request_id"], requests["request_id"])
        return kept.append_column("date", _day(requests["requested_at"].take(at)))
    if name == "true_boxes":
        return _numbered(kept, verdicts["pins"].kept())
    time = found.rows.contract.time
    if name in BY_DAY and time:
        return kept.append_column("date", _day(kept[time]))
    return kept


def _numbered(boxes: pa.Table, pins: pa.Table) -> pa.Table:
    """The boxes with pin and number within the pin, in the order of the files."""
    pins = pins.sort_by("pin_id")
    at = pc.index_in(boxes["image"], pins["image"])
    boxes = boxes.append_column("pin_id", pins["pin_id"].take(at))
    codes = key_codes(boxes, ("pin_id",))
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], codes[order])
    numbers = pa.array(np.arange(len(order)) - starts)
    return boxes.take(order).drop_columns(["file", "annotation", "image"]).append_column(
        "box_no", numbers
    )  # fmt: skip


def _days_to_come(name: str, verdicts: dict[str, Verdicts]) -> list[date]:
    """The days of the rows that are not there yet."""
    times = verdicts["requests" if name == "impressions" else name]
    column = times.rows.contract.time
    later = times.rows.typed.filter(pa.array(times.codes == NOT_YET))
    return sorted(set(_day(later[column]).unique().to_pylist()))


def _order(name: str) -> tuple[str, ...]:
    keys = tuple(c.name for c in METADATA.tables[name].primary_key.columns)
    return ("date", *keys) if name in BY_DAY else keys


def _day(times: pa.ChunkedArray) -> pa.ChunkedArray:
    return times.cast(pa.date32(), safe=False)


def _content(rows: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(rows, sink)
    return hashlib.sha256(sink.getvalue()).hexdigest()[:16]


def _remember(database: Database, pieces: dict[str, tuple[str, int]]) -> None:
    with database.engine.begin() as connection:
        for piece, (stamp, n_rows) in pieces.items():
            record(connection, step=STEP, piece=piece, fingerprint=stamp, n_rows=n_rows)


def _pieces(database: Database, start: str) -> dict[str, str]:
    with database.engine.connect() as connection:
        rows = connection.execute(
            sa.select(manifest.c.piece, manifest.c.fingerprint).where(
                manifest.c.step == STEP, manifest.c.piece.startswith(start, autoescape=True)
            )
        )
        return dict(rows.all())


def _recorded(database: Database, replaced: dict[str, int] | None = None) -> IngestSummary:
    """The summary of the last finished call, from what it left in the database."""
    names = [*INPUTS, "true_boxes"]
    with database.engine.connect() as connection:
        rows = sa.select(manifest.c.piece, manifest.c.n_rows).where(manifest.c.step == STEP)
        counts = dict(connection.execute(rows).all())
        reasons = (
            sa.select(quarantine.c.source_table, quarantine.c.reason, sa.func.count())
            .where(quarantine.c.source_table.in_(names))
            .group_by(quarantine.c.source_table, quarantine.c.reason)
            .order_by(quarantine.c.source_table, quarantine.c.reason)
        )
        aside = {(name, why): n for name, why, n in connection.execute(reasons)}
    read = {name: counts[name] for name in names}
    not_yet = {name: counts[f"{name}: not yet"] for name in names}
    forgotten = {name: counts.get(f"{name}: forgotten", 0) for name in names}
    lost = {name: sum(n for (table, _), n in aside.items() if table == name) for name in names}
    return IngestSummary(
        read=read,
        written={n: read[n] - not_yet[n] - lost[n] - forgotten[n] for n in names},
        set_aside={f"{name}: {why}": n for (name, why), n in aside.items()},
        not_yet=not_yet,
        forgotten=forgotten,
        replaced=replaced or dict.fromkeys(names, 0),
        unchanged=replaced is None,
    )
