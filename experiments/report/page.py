"""The report of an experiment: one self-contained HTML page, and its lift plot as a PNG."""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from experiments.arms import AA, COLD, CONTROL, PRIMARY, SHIPPABLE
from experiments.checks import CRITICAL
from experiments.report import findings, gallery
from experiments.report.agreement import agreement_answer, agreement_figures, metrics_grid
from experiments.report.answer import Row, ask
from experiments.report.figures import METRICS, Estimate, Grid, Panel, arm_order, label_of
from experiments.report.health import health_grid, traffic_grid
from experiments.report.plots import overview, save_png
from experiments.report.segments import segment_answers, segment_figures
from experiments.verdict import ESTIMATOR, PRIMARY_METRIC, Verdict, verdict
from experiments.wording import number, p_value, per_request, percent, short
from features.images.pin_images import PinImages
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
    COLD[0]: "cosine of whole images, and no engagement: as for pins that nobody has met yet",
    COLD[1]: "targeted, and no engagement",
    "paper_control": "a linear ranker in place of trees: the control's columns",
    "paper_a": "the same with the dominant objects' tight crops in place of whole images",
    "paper_b": "paper_a, the cosine counting five times where both pins' categories are one",
    "paper_c": "paper_control, the cosine counting five times where both pins' categories are one",
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

    Reads SQL and the pins' photos (features/images/pin_images.py); the same database and photos
    give the same bytes.
    Raises ValueError where there is no experiment of `date`.
    """
    page = _page(database, source, home, date, holdout_days)
    folder = home / "reports" / str(date)
    folder.mkdir(parents=True, exist_ok=True)
    label = " (simulated)" if page["simulated"] else ""
    sheet = overview(
        {panel.title: [e.interval for e in panel.estimates] for panel in page["lift"]},
        f"Related Pins: lift over {CONTROL}, {page['first']} to {date}{label}",
        "Thick: position-based estimate. Thin: position by position. 95% intervals, clustered by "
        f"user. {page['n_requests']:,} requests in random order.",
    )
    save_png(sheet, folder / "report.png")
    aside = folder / "report.html.part"
    aside.write_text(_environment().get_template("page.html.j2").render(page), encoding="utf-8")
    return aside.rename(folder / "report.html")


def is_simulated(source: Path) -> bool:
    """Whether the data set says that it is simulated: a truth.json, or a README with the word."""
    readmes = [path for path in source.glob("README*") if path.is_file()]
    return (source / "truth.json").exists() or any(
        "simulated" in path.read_text(encoding="utf-8", errors="replace").lower()
        for path in readmes
    )


def _page(
    database: Database, source: Path, home: Path, date: dt.date, holdout_days: int
) -> dict[str, Any]:
    judged = findings.judged_answer(database, date)
    checks, models = (ask(database, query, date=date) for query in (_CHECKS, _MODELS))
    decided = verdict(judged.rows, checks.rows)
    by_arm = {row["arm"]: row for row in models.rows}
    version = by_arm.get(PRIMARY, {}).get("feature_version") or ""
    first = date - dt.timedelta(days=holdout_days - 1)
    return {
        "date": date, "first": first, "control": CONTROL, "primary": PRIMARY,
        "simulated": is_simulated(source), "verdict": decided, "css": _css(),
        "n_requests": max(row["n_requests"] for row in judged.rows),
        "n_users": max(row["n_users"] for row in judged.rows),
        "verdict_sql": (judged, checks),
        "checks": _checks(checks.rows), "checks_sql": (checks,),
        "check_words": _check_words(_checks(checks.rows)),
        "arms": _arms([row["arm"] for row in judged.rows], by_arm), "arms_sql": (models,),
        "training": by_arm.get(PRIMARY) or by_arm.get(CONTROL),
        "version": version, "estimator": ESTIMATOR,
        **_lift(database, date, decided), **_segments(database, date),
        **_numbers(database, date, version),
        **_pictures(database, PinImages(source, home), date, first, version),
    }  # fmt: skip


def _lift(database: Database, date: dt.date, decided: Verdict) -> dict[str, Any]:
    panels = findings.lift_panels(
        {metric: findings.lift_answer(database, date, [metric]) for metric in METRICS}, decided
    )
    every = findings.lift_answer(database, date, list(METRICS))
    cold_start = findings.cold_start_grid(database, date)
    return {
        "lift": panels, "plain_words": (*_plain_words(panels), *_cold_words(cold_start)),
        "lift_grid": findings.lift_grid(every, decided),
        "estimates": [
            (METRICS[m], found) for m, found in findings.estimates(every.rows, decided).items()
        ],
        "estimates_sql": (every,),
        "ablation": findings.ablation_grid(database, date),
        "cold_start": cold_start,
        "overlap": findings.overlap_grid(database, date),
        "health": health_grid(database, date), "traffic": traffic_grid(database, date),
        "agreement": agreement_figures(agreement_answer(database, date), decided),
        "metrics": metrics_grid(database, date),
    }  # fmt: skip


def _segments(database: Database, date: dt.date) -> dict[str, Any]:
    plot, grids = segment_figures(segment_answers(database, date))
    return {"segment_plot": plot, "segment_grids": grids}


def _numbers(database: Database, date: dt.date, version: str) -> dict[str, Any]:
    daily_arms, daily = findings.daily_figures(findings.daily_answers(database, date))
    return {
        "daily_arms": daily_arms, "daily": daily,
        "coverage": findings.coverage_answer(database, version),
        "importances": findings.importances_answer(database, date, PRIMARY),
        "meanings": findings.MEANINGS,
        "counts": findings.counts_answer(database),
        "aside": findings.set_aside_answer(database),
    }  # fmt: skip


def _pictures(
    database: Database, images: PinImages, date: dt.date, first: dt.date, version: str
) -> dict[str, Any]:
    return {
        "asked": gallery.asked_pins(database, images, date, version),
        "cropped": gallery.cropped_pins(database, images, first, version),
        "changed": gallery.changed_queries(database, images, date, version),
    }


def _plain_words(panels: Sequence[Panel]) -> tuple[tuple[str, str], ...]:
    """(reading, sentence): which of the arms that could be shipped gain or lose saves."""
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
    words = [(r, f"{said[r]}: {', '.join(names[r])}.") for r in said if names[r]]
    return (*words, *_kept_of_oracle({estimate.label: estimate for estimate in saves}))


def _kept_of_oracle(saves: Mapping[str, Estimate]) -> tuple[tuple[str, str], ...]:
    """How much of the lift with true boxes is left with detected ones, where there is one."""
    targeted, oracle = saves.get(PRIMARY), saves.get(label_of("oracle"))
    if targeted is None or oracle is None or oracle.reading != "better":
        return ()
    share = targeted.lift / oracle.lift
    words = (
        f"With detected boxes {PRIMARY} keeps {share:.0%} of the lift with true boxes, "
        "a ratio of two uncertain numbers."
    )
    return (("unclear", words),)


def _cold_words(grid: Grid) -> tuple[tuple[str, str], ...]:
    """What objects earn where nobody has engaged yet, where that was measured."""
    saves = next((cells[0] for _, _, cells in grid.rows[:1]), None)
    if not isinstance(saves, Estimate):
        return ()
    found = (
        f"{percent(saves.lift)} saves (95% interval {percent(saves.low)} to {percent(saves.high)})"
    )
    return ((saves.reading, f"Where nobody has engaged yet, features of objects earn {found}."),)


def _check_words(checks: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    """(reading, sentence): how many checks passed, and which failed, critical ones first."""
    failed = [
        f"{check['name']} ({'critical' if check['critical'] else 'not critical'})"
        for check in checks if not check["passed"]
    ]  # fmt: skip
    n_passed = len(checks) - len(failed)
    words = [("better", f"Checks passed: {n_passed} of {len(checks)}.")] if n_passed else []
    return (*words, *([("worse", f"Checks failed: {', '.join(failed)}.")] if failed else []))


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
        for arm in arm_order([CONTROL, *arms])
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
    environment.globals |= {"percent": percent, "per_request": per_request}
    return environment


def _breakable(name: str) -> Markup:
    """The name, which may be broken after its underscores."""
    return Markup(str(escape(short(name, 40))).replace("_", "_<wbr>"))


def _css() -> Markup:
    return Markup((HERE / "report.css").read_text(encoding="utf-8"))
