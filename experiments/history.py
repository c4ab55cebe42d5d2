"""The history of runs: what was compared, with what code, and what it said, kept for good."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from experiments.plan import Plan
from experiments.verdict import Verdict
from sql.database import Database
from sql.tables import experiment_results, experiment_run_checks, experiment_runs

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """A plan that was run: its id (a hash of plan, code and inputs), what it found, its verdict.

    lifts and checks are rows as in experiment_lift and experiment_checks, without the date.
    """

    run_id: str
    plan: Plan
    date: dt.date
    feature_version: str
    code_version: str
    decision: str
    sentence: str
    lifts: Rows
    checks: Rows

    @classmethod
    def of(
        cls, mark: str, plan: Plan, date: dt.date, feature_version: str, lifts: Rows,
        checks: Rows, verdict: Verdict,
    ) -> "Run":  # fmt: skip
        """Returns the run with the id that `mark` gives, by the code that is running."""
        return cls(
            mark[:12], plan, date, feature_version, code_version(),
            verdict.decision, verdict.sentence, lifts, checks,
        )  # fmt: skip


@cache
def code_version() -> str:
    """Returns a hash of the code that makes an experiment's numbers, 12 hexadecimal digits."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.py"), *folder.glob("*/*.py")]):
        digest.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def record(database: Database, run: Run) -> bool:
    """Appends a run to the history; False where a run of that id is there already.

    Its row in experiment_runs is written last, so a run that is there is there completely.
    """
    if _read(database, experiment_runs, run.run_id):
        return False
    for table, rows in ((experiment_results, run.lifts), (experiment_run_checks, run.checks)):
        numbered = [{"run_id": run.run_id, **row} for row in rows]
        schema = pa.schema([("run_id", pa.string())]) if not numbered else None
        database.replace(table, pa.Table.from_pylist(numbered, schema=schema), run_id=run.run_id)
    row = {field.name: getattr(run, field.name) for field in fields(run)}
    row |= {"plan": json.dumps(asdict(run.plan), default=str), "name": run.plan.name,
            "made_at": dt.datetime.now(dt.UTC).replace(tzinfo=None)}  # fmt: skip
    del row["lifts"], row["checks"]
    database.append(experiment_runs, pa.Table.from_pylist([row]))
    return True


def recorded(database: Database, run_id: str) -> Run:
    """Returns the run of an id, or of the only id that starts with it, as it was recorded.

    Raises ValueError where there is none, or more than one.
    """
    found = [row for row in past_runs(database) if row["run_id"].startswith(run_id)]
    if len(found) != 1:
        raise ValueError(
            f"{len(found)} runs have an id that starts with {run_id!r}; "
            "related-pins experiment history lists them."
        )
    row = found[0]
    results = [_without_id(r) for r in _read(database, experiment_results, row["run_id"])]
    checks = [_without_id(r) for r in _read(database, experiment_run_checks, row["run_id"])]
    kept = {name: row[name] for name in ("run_id", "date", "feature_version", "code_version",
                                         "decision", "sentence")}  # fmt: skip
    return Run(**kept, plan=_plan(row["plan"]), lifts=results, checks=checks)


def past_runs(database: Database) -> Rows:
    """Returns the rows of experiment_runs, newest first."""
    rows: Rows = database.read(
        sa.select(experiment_runs).order_by(experiment_runs.c.made_at.desc())
    ).to_pylist()
    return rows


def differences(before: Run, after: Run) -> list[str]:
    """Returns what differs between two runs of a plan, one sentence each; none if all is equal."""
    found = [
        f"{what} was {getattr(before, field)}, is {getattr(after, field)}"
        for what, field in (("the code", "code_version"), ("the features", "feature_version"),
                            ("the decision", "decision"))
        if getattr(before, field) != getattr(after, field)
    ]  # fmt: skip
    if before.run_id != after.run_id and not found:
        found = ["the logs, the features or the orders have changed"]
    keys = ("arm", "metric", "segment", "estimator")
    old, new = ({tuple(r[k] for k in keys): r for r in run.lifts} for run in (before, after))
    changed = [key for key in old if not _same(old[key], new.get(key, {}))]
    if changed or len(old) != len(new):
        found.append(
            f"{len(changed):,} of {len(old):,} lifts differ, "
            f"the first: {', '.join(changed[0]) if changed else 'a new one'}"
        )
    return found


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(
        one[key] == other.get(key) or (_is_nan(one[key]) and _is_nan(other.get(key))) for key in one
    )


def _is_nan(value: Any) -> bool:
    return value is None or value != value


def _read(database: Database, table: sa.Table, run_id: str) -> Rows:
    rows: Rows = database.read(sa.select(table).where(table.c.run_id == run_id)).to_pylist()
    return rows


def _without_id(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "run_id"}


def _plan(text: str) -> Plan:
    values = json.loads(text)
    last = values.pop("last")
    lists: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return Plan(**lists, last=dt.date.fromisoformat(last) if last else None)
