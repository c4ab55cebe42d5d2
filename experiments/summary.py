"""What a run did, in a few lines for the person who started it."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.plan import COLD_START
from experiments.wording import percent
from sql.database import Database

_LIFT = """
SELECT arm, metric, control, treatment, lift, ci_low, ci_high FROM experiment_lift
WHERE date = :date AND segment = 'all' AND estimator = 'snips_position_based'
  AND metric IN ('save', 'click') AND arm NOT IN :cold ORDER BY metric DESC, arm
"""
_SET_ASIDE = """
SELECT source_table || ': ' || CASE source_table WHEN 'image' THEN 'unreadable' ELSE reason END
  AS what, COUNT(*) AS n FROM quarantine GROUP BY 1 ORDER BY 1
"""
_NEXT = {
    "daily": 'open the report; related-pins sql query "SELECT * FROM feature_coverage"',
    "ingest": "related-pins features --date {date}",
    "features": "related-pins rank --date {date}",
    "rank": "related-pins experiment --date {date}",
    "experiment": "related-pins report --date {date}",
    "report": "open the report",
    "crops label": "related-pins crops heat PIN; "
    'related-pins sql query "SELECT category, COUNT(*) FROM weak_objects GROUP BY 1"',
}
_WITH_COCO = "related-pins detector train --boxes {coco} --photos {source} --out weak.safetensors; "
_BESIDE = "related-pins features use {feature_version}"
TABLES = (
    "pins", "requests", "impressions", "engagements", "candidates", "crops", "true_boxes",
    "weak_objects", "pin_visuals", "pin_objects", "pair_features", "pair_interest",
    "engagement_features", "rankings", "experiment_lift",
)  # fmt: skip


def summary_text(
    database: Database, command: str, date: dt.date, home: Path, summary: Mapping[str, Any]
) -> str:
    """Rows in the tables, rows set aside, lift per arm, the verdicts, where things are, what to try
    next."""
    lines = [f"{command} for {date}: done in {summary['seconds']:.0f} s, "
             f"peak memory {summary['peak_memory_gb']:.1f} GB"]  # fmt: skip
    lines += ["", "Rows"] + [f"  {name:20} {n:>12,}" for name, n in _rows(database).items()]
    aside = database.read(_SET_ASIDE).to_pylist()
    lines += ["", "Set aside (table quarantine)"]
    lines += [f"  {row['what']:32} {row['n']:>6,}" for row in aside] or ["  nothing"]
    if "crops_set_aside" in summary:
        lines += ["", "Not used to make weak objects"]
        lines += [f"  {what:32} {n:>6,}" for what, n in summary["crops_set_aside"].items()]
    if command in ("daily", "experiment"):
        lines += ["", "Lift over whole_image on the held-out days, 95% interval"]
        cold = [COLD_START.control, COLD_START.treatment]
        lines += [_lift(row) for row in database.read(_LIFT, date=date, cold=cold).to_pylist()]
        said = (summary.get("verdict"), summary.get("cold_start"))
        lines += ["", *(sentence for sentence in said if sentence)]
    lines += ["", f"Database  {database.engine.url.render_as_string()}"]
    if summary.get("coco"):
        lines += [f"COCO file {summary['coco']}"]
    if "report" in summary:
        lines += [f"Report    {summary['report']}"]
    step = _BESIDE if summary.get("beside") else _NEXT[command]
    step = _WITH_COCO + step if summary.get("coco") else step
    return "\n".join([*lines, f"Next      {step.format(date=date, **summary)}"])


def _rows(database: Database) -> dict[str, int]:
    counts = {name: database.read(f"SELECT COUNT(*) AS n FROM {name}")["n"][0].as_py()
              for name in TABLES}  # fmt: skip
    return {name: n for name, n in counts.items() if n}


def _lift(row: Mapping[str, Any]) -> str:
    if row["lift"] is None:
        return f"  {row['arm']:20} {row['metric']:6} not enough data"
    return (
        f"  {row['arm']:20} {row['metric']:6} {percent(row['lift']):>7}  "
        f"[{percent(row['ci_low'])}, {percent(row['ci_high'])}]"
    )
