"""The report of an experiment: one self-contained HTML page, and its lift plot as a PNG."""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from experiments import findings, gallery
from experiments.answer import Row, ask
from experiments.arms import AA, CONTROL, PRIMARY, SHIPPABLE
from experiments.checks import CRITICAL
from experiments.findings import Estimate, Panel, label_of
from experiments.plots import overview, save_png
from experiments.verdict import ESTIMATOR, GUARDRAIL, PRIMARY_METRIC, verdict
from experiments.wording import number, p_value, per_request, percent, short
from sql.database import Database

HERE = Path(__file__).parent
GLYPHS = {"better": "✓", "worse": "✗", "unclear": "≈"}
ARM_MEANINGS = {
    CONTROL: "cosine of whole images",
    "object_crop": "cosine of the dominant objects' tight crops, else of whole images",
    "object_crop_padded": "the same with context around the boxes",
    "presence": "cosine of whole images, and whether, how large and how sure an object is",
    PRIMARY: "all of it, object by object: best and same-category crops, colour, users' interest",
    "oracle": "targeted with boxes that people drew, where there are some: what the detector's "
    "errors cost; it can never be shipped",
    AA: "the control trained with another seed: what chance alone does",
    "whole_image_learned": "cosine of whole images described like objects: the learned embedding "
    "without any object",
    "with_look": "the control, and cosines of objects",
    "with_category": "the control, and which categories are there, how large and how sure",
    "with_colour": "the control, and distances of the objects' colours",
    "with_interest": "the control, and what people's crops say of the query pin's objects",
}  # fmt: skip

_CHECKS = """
    SELECT name, passed, value, expected, detail FROM experiment_checks
    WHERE date = :date ORDER BY passed, name
"""
_MODELS = """
    SELECT arm, feature_version, model_version, train_from, train_to, n_rows, n_requests, columns
    FROM models WHERE date = :date ORDER BY arm
"""


def write_report(
    database: Database, source: Path, home: Path, date: dt.date, holdout_days: int = 4
) -> Path:
    """The path of <home>/reports/<date>/report.html, written anew; report.png lies beside it.

    Reads SQL and the pins' photos under `source`; the same database and photos give the same bytes.
    Raises ValueError where there is no experiment of `date`.
    """
    page = _page(database, source, date, holdout_days)
    folder = home / "reports" / str(date)
    folder.mkdir(parents=True, exist_ok=True)
    label = " (simulated)" if page["simulated"] else ""
    sheet = overview(
        {p.title: ([e.interval for e in p.estimates], p.metric != GUARDRAIL) for p in page["lift"]},
        f"Related Pins: lift over {CONTROL}, {page['first']} to {date}{label}",
        "Thick: position-based estimate. Thin: position by position. 95% intervals, clustered by "
        f"user. {page['n_requests']:,} requests in random order.",
    )
    save_png(sheet, folder / "report.png")
    aside = folder / "report.html.part"
    aside.write_text(_environment().get_template("report.html.j2").render(page), encoding="utf-8")
    return aside.rename(folder / "report.html")


def is_simulated(source: Path) -> bool:
    """Whether the data set says that it is simulated: a truth.json, or a README with the word."""
    readmes = [path for path in source.glob("README*") if path.is_file()]
    return (source / "truth.json").exists() or any(
        "simulated" in path.read_text(encoding="utf-8", errors="replace").lower()
        for path in readmes
    )


def _page(database: Database, source: Path, date: dt.date, holdout_days: int) -> dict[str, Any]:
    lift = findings.lift_answer(database, date)
    checks, models = (ask(database, query, date=date) for query in (_CHECKS, _MODELS))
    decided = verdict(lift.rows, checks.rows)
    panels = findings.lift_panels(lift.rows, decided)
    arms = findings.arm_order([row["arm"] for row in lift.rows])
    by_arm = {row["arm"]: row for row in models.rows}
    version = by_arm.get(PRIMARY, {}).get("feature_version") or ""
    first = date - dt.timedelta(days=holdout_days - 1)
    return {
        "date": date, "first": first, "control": CONTROL, "primary": PRIMARY,
        "simulated": is_simulated(source), "verdict": decided, "css": _css(),
        "n_requests": max(row["n_requests"] for row in lift.rows),
        "n_users": max(row["n_users"] for row in lift.rows),
        "lift": panels, "lift_sql": (lift,), "plain_words": _plain_words(panels),
        "lift_grid": findings.lift_grid(panels), "ablation": findings.ablation_grid(lift.rows),
        "checks": _checks(checks.rows), "checks_sql": (checks,),
        "arms": _arms(arms, by_arm), "arms_sql": (models,), "version": version,
        "training": by_arm.get(PRIMARY) or by_arm.get(CONTROL),
        "estimator": ESTIMATOR,
        **_numbers(database, date, arms, version),
        **_pictures(database, source, date, first, version),
    }  # fmt: skip


def _numbers(
    database: Database, date: dt.date, arms: Sequence[str], version: str
) -> dict[str, Any]:
    segments = findings.segment_answer(database, date)
    segment_plot, segment_grids = findings.segment_grids(segments, arms)
    daily = findings.daily_answer(database, date)
    daily_arms, daily_panels, daily_grids = findings.daily_panels(daily)
    coverage = findings.coverage_answer(database, version)
    importances = findings.importances_answer(database, date, PRIMARY)
    metrics = findings.metrics_answer(database, date)
    counts, aside = findings.counts_answer(database), findings.set_aside_answer(database)
    return {
        "segment_plot": segment_plot, "segment_grids": segment_grids, "segments_sql": (segments,),
        "daily_arms": daily_arms, "daily": daily_panels, "daily_grids": daily_grids,
        "daily_sql": (daily,),
        "coverage": coverage.rows, "coverage_sql": (coverage,),
        "importances": importances.rows, "importances_sql": (importances,),
        "meanings": findings.MEANINGS,
        "metrics": findings.metrics_grid(metrics), "metrics_sql": (metrics,),
        "counts": [row for row in counts.rows if row["n"]], "aside": aside.rows,
        "counts_sql": (counts, aside),
    }  # fmt: skip


def _pictures(
    database: Database, source: Path, date: dt.date, first: dt.date, version: str
) -> dict[str, Any]:
    return {
        "asked": gallery.asked_pins(database, source, date, version),
        "cropped": gallery.cropped_pins(database, source, first, version),
        "changed": gallery.changed_queries(database, source, date, version),
    }


def _plain_words(panels: Sequence[Panel]) -> tuple[str, ...]:
    """One sentence per reading: which of the arms that could be shipped gain or lose saves."""
    saves = next((p.estimates for p in panels if p.metric == PRIMARY_METRIC), ())
    names = {"better": [], "worse": [], "unclear": []}  # type: dict[str, list[str]]
    for estimate in saves:
        if estimate.label in SHIPPABLE:
            names[estimate.reading].append(f"{estimate.label} ({percent(estimate.lift)})")
    said = {
        "better": f"More saves than {CONTROL}",
        "worse": f"Fewer saves than {CONTROL}",
        "unclear": f"Saves cannot be told from those of {CONTROL}",
    }
    words = [f"{said[r]}: {', '.join(names[r])}." for r in said if names[r]]
    return (*words, *_kept_of_oracle({estimate.label: estimate for estimate in saves}))


def _kept_of_oracle(saves: Mapping[str, Estimate]) -> tuple[str, ...]:
    """How much of the lift with true boxes is left with detected ones, where there is one."""
    targeted, oracle = saves.get(PRIMARY), saves.get(label_of("oracle"))
    if targeted is None or oracle is None or oracle.reading != "better":
        return ()
    share = targeted.lift / oracle.lift
    return (
        f"With detected boxes {PRIMARY} keeps {share:.0%} of the lift with true boxes, "
        "a ratio of two uncertain numbers.",
    )


def _checks(rows: Sequence[Row]) -> list[Row]:
    """Failed checks first, critical ones before others."""
    marked = [{**row, "critical": row["name"] in CRITICAL} for row in rows]
    return sorted(marked, key=lambda row: (row["passed"], not row["critical"], row["name"]))


def _arms(arms: Sequence[str], models: Mapping[str, Row]) -> list[Row]:
    return [
        {
            "label": label_of(arm), "meaning": ARM_MEANINGS.get(arm, ""),
            "model": models.get(arm, {}).get("model_version"),
            "n_columns": len(json.loads(models.get(arm, {}).get("columns") or "[]")),
        }
        for arm in findings.arm_order([CONTROL, *arms])
    ]  # fmt: skip


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    filters: dict[str, Callable[..., object]] = {
        "percent": percent, "short": short, "number": number, "svg": Markup,
        "breakable": _breakable, "glyph": GLYPHS.__getitem__, "p_value": p_value,
        "per_request": per_request,
        "is_estimate": lambda cell: isinstance(cell, Estimate),
    }  # fmt: skip
    environment.filters |= filters
    return environment


def _breakable(name: str) -> Markup:
    """The name, which may be broken after its underscores."""
    return Markup(str(escape(short(name, 40))).replace("_", "_<wbr>"))


def _css() -> Markup:
    return Markup((HERE / "report.css").read_text(encoding="utf-8"))
