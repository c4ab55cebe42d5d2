"""What the next daily run will do, as far as its source and the database tell."""

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from sql.contract import Field, Input
from sql.database import Database
from sql.forgotten import forgotten_hashes, id_hash
from sql.runs import last_summary
from sql.source import read_input, source_files
from sql.tables import candidates, manifest, pin_visuals, quarantine, requests, runs

__all__ = ["NextRun", "next_run"]

_PINS = Input("pins", (Field("pin_id"), Field("created_at", "time")), key=("pin_id",))
_PAIRS = Input("candidates", (Field("query_pin_id"), Field("candidate_pin_id")), key=())
_REQUESTS = Input("requests", (Field("requested_at", "time"),), key=())


@dataclass(frozen=True)
class NextRun:
    """The run of the day after the last daily run, with the settings of the last.

    date: None before any daily run. new_pins: pins in the source up to the date that are not
    described; new_pairs: candidate pairs not in the database; both without erased pins.
    days_to_pair: days up to the date on which pairs may be computed, all of them where there are
    new pins or pairs. These are None where the source cannot be read; `unreachable` says why.
    """

    date: dt.date | None
    source: str | None
    unreachable: str | None
    new_pins: int | None = None
    new_pairs: int | None = None
    days_to_pair: tuple[dt.date, ...] | None = None


def next_run(database: Database, feature_version: str | None) -> NextRun:
    """What the next run finds to do if the detected visuals keep this feature version."""
    date, source = _next_date(database), None
    try:
        source = str(last_summary(database, "source"))
        files = source_files(Path(source))
        to = date or dt.date.max
        erased = forgotten_hashes(database)["pin"]
        pins = _pins_in(files["pins"], to) - _described(database, feature_version)
        pairs = _pairs_in(files["candidates"]) - _known_pairs(database)
        new_pins, new_pairs = (
            sum(erased.isdisjoint(map(id_hash, ids)) for ids in some)
            for some in ([(pin,) for pin in pins], pairs)
        )
        days = {d for d in _days_in(files["requests"]) | _days(database) if d <= to}
    except (ValueError, OSError) as error:
        return NextRun(date, source, str(error))
    if not new_pins and not new_pairs:
        days -= _paired(database, feature_version)
    return NextRun(date, source, None, new_pins, new_pairs, tuple(sorted(days)))


def _next_date(database: Database) -> dt.date | None:
    last = sa.select(sa.func.max(runs.c.date)).where(
        runs.c.command == "daily", runs.c.status == "done"
    )
    with database.engine.connect() as connection:
        date: dt.date | None = connection.scalar(last)
    return date + dt.timedelta(days=1) if date else None


def _pins_in(path: Path, to: dt.date) -> set[str]:
    rows = read_input(path, _PINS).typed.to_pandas()
    at = rows["created_at"]
    return set(rows["pin_id"][at.dt.date <= to].dropna()) if len(rows) else set()


def _pairs_in(path: Path) -> set[tuple[str, str]]:
    rows = read_input(path, _PAIRS).typed.to_pandas().dropna()
    return set(zip(rows["query_pin_id"], rows["candidate_pin_id"], strict=True))


def _days_in(path: Path) -> set[dt.date]:
    times = read_input(path, _REQUESTS).typed["requested_at"].to_pandas()
    return set(pd.to_datetime(times.dropna()).dt.date)


def _described(database: Database, feature_version: str | None) -> set[str]:
    """Pins with visuals, and those that were set aside or whose image cannot be read."""
    seen = sa.select(pin_visuals.c.pin_id).where(pin_visuals.c.feature_version == feature_version)
    bad = sa.select(quarantine.c.row_key).where(quarantine.c.source_table.in_(("image", "pins")))
    with database.engine.connect() as connection:
        return set(connection.scalars(seen)) | set(connection.scalars(bad))


def _known_pairs(database: Database) -> set[tuple[str, str]]:
    """Candidate pairs that are there, and those that were set aside."""
    pair = sa.select(candidates.c.query_pin_id, candidates.c.candidate_pin_id)
    bad = sa.select(quarantine.c.row_json).where(quarantine.c.source_table == "candidates")
    with database.engine.connect() as connection:
        known = {(query, candidate) for query, candidate in connection.execute(pair)}
        aside = [json.loads(text) for text in connection.scalars(bad)]
    return known | {(str(r.get("query_pin_id")), str(r.get("candidate_pin_id"))) for r in aside}


def _days(database: Database) -> set[dt.date]:
    with database.engine.connect() as connection:
        return set(connection.scalars(sa.select(requests.c.date).distinct()))


def _paired(database: Database, feature_version: str | None) -> set[dt.date]:
    pieces = sa.select(manifest.c.piece).where(
        manifest.c.step == "pair_interest", manifest.c.feature_version == feature_version
    )
    with database.engine.connect() as connection:
        return {dt.date.fromisoformat(p.rpartition("/")[2]) for p in connection.scalars(pieces)}
