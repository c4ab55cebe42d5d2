"""The commands of experiment owners: run a plan, compare two arms, check, plan ahead, look back."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sql.home import HOME, Db, Home, existing, feature_versions, opened

if TYPE_CHECKING:
    from experiments.experiment import Setting
    from experiments.history import Run
    from experiments.plan import Plan
    from sql.database import Database

app = typer.Typer(invoke_without_command=True)

_FILE_HELP = "TOML file of the plan; experiments/daily.toml is an example."
File = Annotated[Path, typer.Argument(help=_FILE_HELP)]
MaybeFile = Annotated[Path | None, typer.Argument(help=_FILE_HELP + " [default: the daily plan]")]
_DAY_HELP = "Last held-out day [default: the plan's own, or the last day that was ranked]"
Day = Annotated[dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help=_DAY_HELP)]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.command()
def run(file: File, date: Day = None, home: Home = HOME, db: Db = None,
        as_json: AsJson = False) -> None:  # fmt: skip
    """Run a plan, print its verdict and lifts, and keep it all in the history.

    Example: related-pins experiment run mine.toml --date 2026-11-15
    """
    from experiments.experiment import run_plan
    from experiments.plan import read_plan

    database, plan = opened(home, db), read_plan(file)
    done = run_plan(database, plan, _setting(database, plan, date))
    if as_json:
        print(json.dumps(asdict(done), indent=1, default=str))
        return
    print(f"{done.sentence}\n")
    _print_lifts(done)
    _print_checks(done, failed_only=True)
    print(f"Run {done.run_id} of code {done.code_version} is in experiment_runs, its "
          f"{len(done.lifts):,} lifts in experiment_results.")  # fmt: skip
    print("Next: related-pins experiment history")


@app.command()
def compare(control: str, treatment: str, date: Day = None, home: Home = HOME, db: Db = None,
            as_json: AsJson = False) -> None:  # fmt: skip
    """One arm against another, in every metric and by every estimator; writes nothing.

    Example: related-pins experiment compare object_crop targeted --date 2026-11-15
    """
    from experiments.plan import Plan

    plan = Plan(f"{treatment} against {control}", treatment, control, arms=(treatment,),
                segments=())  # fmt: skip
    done = _carried_out(existing(home, db), plan, date)
    if as_json:
        print(json.dumps(done.lifts, indent=1, default=str))
        return
    _print_lifts(done)
    _print_checks(done, failed_only=True)
    print("Next: related-pins experiment check")


@app.command()
def check(file: MaybeFile = None, date: Day = None, home: Home = HOME, db: Db = None,
          as_json: AsJson = False) -> None:  # fmt: skip
    """Every check of whether a plan's verdict can be trusted; exit code 3 if a critical one fails.

    Example: related-pins experiment check mine.toml --date 2026-11-15
    """
    from experiments.checks import CRITICAL
    from experiments.plan import DAILY, read_plan

    plan = replace(read_plan(file) if file else DAILY, segments=())
    done = _carried_out(existing(home, db), plan, date)
    if as_json:
        print(json.dumps(done.checks, indent=1))
    else:
        _print_checks(done)
        print("Next: related-pins experiment power")
    if any(row["name"] in CRITICAL and not row["passed"] for row in done.checks):
        raise typer.Exit(3)


@app.command()
def power(
    file: MaybeFile = None, date: Day = None, home: Home = HOME, db: Db = None,
    lift: Annotated[float, typer.Option(min=0.0001, help="Lift worth finding, a share.")] = 0.02,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """The smallest lift a plan's data would find in 4 of 5 times, and the days that another needs.

    Example: related-pins experiment power mine.toml --lift 0.02
    """
    from experiments.plan import DAILY, read_plan

    plan = replace(read_plan(file) if file else DAILY, segments=())
    rows = power_rows(_carried_out(existing(home, db), plan, date), lift)
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    _print_table(
        ("metric", "standard error of lift", "lift found with 80% power",
         f"power for a lift of {lift:.1%}", f"held-out days for {lift:.1%}"),
        [(r["metric"], f"{r['standard_error']:.2%}", f"{r['detectable_lift']:.1%}",
          f"{r['power']:.0%}", f"{r['days']:,} (has {plan.days})") for r in rows],
    )  # fmt: skip
    print(f"{plan.treatment} against {plan.control}, at level {plan.level:g} of a single test.")
    print("Days are a lower bound where the same users come back.")
    print("Next: related-pins experiment run FILE")


@app.command()
def examination(date: Day = None, home: Home = HOME, db: Db = None,
                as_json: AsJson = False) -> None:  # fmt: skip
    """How likely each position is examined: in random order, and by production traffic.

    Example: related-pins experiment examination --date 2026-11-11
    """
    from experiments.plan import DAILY
    from experiments.production import examination_curves

    database = existing(home, db)
    day = _setting(database, DAILY, date).date
    curves = examination_curves(database, day, DAILY.most_pages_a_day)
    if as_json:
        print(curves.to_json(orient="records", indent=1))
        return
    _print_table(
        ("platform", "position", "random order", "regression EM", "adjacent chain",
         "production impressions"),
        [(r.platform, str(r.position), f"{r.random_order:.3f}", f"{r.regression_em:.3f}",
          f"{r.adjacent_chain:.3f}", f"{r.n_production:,}") for r in curves.itertuples()],
    )  # fmt: skip
    furthest = float((curves["regression_em"] - curves["random_order"]).abs().max())
    print(f"Regression EM is at most {furthest:.3f} from random order. Estimates use random order.")
    print("Next: related-pins experiment check")


@app.command()
def history(home: Home = HOME, db: Db = None, as_json: AsJson = False) -> None:
    """All runs of plans, newest first.

    Example: related-pins experiment history
    """
    from experiments.history import past_runs

    rows = past_runs(existing(home, db))
    if as_json:
        print(json.dumps(rows, indent=1, default=str))
        return
    _print_table(
        ("run", "plan", "date", "made at", "code", "verdict"),
        [(r["run_id"], r["name"], str(r["date"]), f"{r['made_at']:%Y-%m-%d %H:%M}",
          r["code_version"], r["sentence"]) for r in rows],
    )  # fmt: skip
    print("Next: related-pins experiment again RUN")


@app.command()
def again(run_id: str, home: Home = HOME, db: Db = None) -> None:
    """Make a run of the history anew, and say whether it gives the same numbers; writes nothing.

    Example: related-pins experiment again 3f2a91
    """
    from experiments.history import differences, recorded

    database = existing(home, db)
    before = recorded(database, run_id)
    found = differences(before, _carried_out(database, before.plan, None, before))
    print(f"Then: {before.sentence}")
    if not found:
        print(f"Made anew, all {len(before.lifts):,} lifts are the same.")
    for difference in found:
        print(f"Differs: {difference}.")
    print("Next: related-pins experiment history")


def power_rows(done: "Run", lift: float) -> list[dict[str, Any]]:
    """Returns what the treatment's data can see, one row per primary metric and guardrail.

    Each has metric, standard_error (of lift), detectable_lift (with 80 % power), power (for `lift`)
    and days (held-out days that find `lift` with 80 % power). Metrics without any are left out.
    """
    from experiments.statistics.power import minimum_detectable_lift, more_days
    from experiments.statistics.power import power as power_of
    from experiments.verdict import ESTIMATOR

    plan, rows = done.plan, []
    for row in done.lifts:
        if (row["arm"], row["segment"], row["estimator"]) != (plan.treatment, "all", ESTIMATOR):
            continue
        error = row["standard_error"]
        if row["metric"] in (*plan.primary, *plan.guardrails) and error > 0:
            rows.append({
                "metric": row["metric"], "standard_error": error,
                "detectable_lift": minimum_detectable_lift(error, level=plan.level),
                "power": power_of(lift, error, plan.level),
                "days": plan.days + more_days(error, plan.days, lift, level=plan.level),
            })  # fmt: skip
    return rows


def _carried_out(
    database: "Database", plan: "Plan", date: dt.datetime | None, before: "Run | None" = None
) -> "Run":
    from experiments.experiment import Setting, carry_out, run_mark

    setting = _setting(database, plan, date)
    if before:
        setting = Setting(before.date, before.feature_version)
    done, _ = carry_out(database, plan, setting, run_mark(database, plan, setting))
    return done


def _setting(database: "Database", plan: "Plan", date: dt.datetime | None) -> "Setting":
    from experiments.experiment import Setting

    ranked = database.read("SELECT MAX(date) AS date FROM rankings")["date"][0].as_py()
    day = date.date() if date else plan.last or ranked
    if day is None:
        raise ValueError("Nothing was ranked yet; run related-pins daily first.")
    return Setting(day, feature_versions(database)["detected"])


def _print_lifts(done: "Run") -> None:
    from experiments.statistics.sequential import interval
    from experiments.wording import p_value, per_request, percent

    def always(row: Mapping[str, Any]) -> str:
        users, error = row["n_users"], row["standard_error"]
        ends = interval(row["lift"], users * error**2, users, tuned_for=done.plan.planned_users)
        return " to ".join(percent(float(end)) for end in ends)

    rows = [r for r in done.lifts if r["segment"] == "all"]
    _print_table(
        ("arm", "metric", "estimator", done.plan.control, "with the arm", "lift", "95% interval",
         "p", "95% however often one looks"),
        [(r["arm"], r["metric"], r["estimator"], per_request(r["control"]),
          per_request(r["treatment"]), percent(r["lift"]),
          f"{percent(r['ci_low'])} to {percent(r['ci_high'])}", p_value(r["p_value"]), always(r))
         for r in sorted(rows, key=lambda r: (r["arm"], r["estimator"]))],
    )  # fmt: skip


def _print_checks(done: "Run", failed_only: bool = False) -> None:
    from experiments.checks import CRITICAL

    rows = [
        ("passed" if r["passed"] else "FAILED", r["name"],
         "yes" if r["name"] in CRITICAL else "", r["detail"])
        for r in done.checks if not (failed_only and r["passed"])
    ]  # fmt: skip
    if rows:
        _print_table(("result", "check", "critical", "what was found"), rows)
    if failed_only:
        print(f"{sum(r['passed'] for r in done.checks)} of {len(done.checks)} checks passed.")


def _print_table(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
