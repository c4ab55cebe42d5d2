"""related-pins: object-level visual features for Related Pins, judged by offline A/B.

The front door: the daily job, readable from top to bottom, and the command line around it. Heavy
imports happen inside the functions that need them: analysts and owners never load torch.
"""

import datetime as dt
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.commands import app as experiment_app
from features.commands import app as detector_app
from features.engine import Engine, Loop, named_engine
from features.options import (
    AsJson,
    Day,
    DetectorName,
    EmbedderName,
    EngineOption,
    Holdout,
    LastSource,
    Pooling,
    ProjectionName,
    Source,
    Workers,
    bars,
    last_source,
    visual_extractor,
)
from features.pin_commands import crops_app, detect, features_app, forget
from features.search.commands import search
from features.search.index_commands import index_app
from sql.commands import app as sql_app
from sql.commands import status
from sql.errors import in_one_line, sentence
from sql.home import HOME, Db, Home, clear_leftovers, feature_versions, opened
from sql.logs import logged, logged_step, masked

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # see ranking/__init__.py

if TYPE_CHECKING:
    from features.store import Progress
    from features.visuals import VisualExtractor
    from sql.database import Database

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(features_app, name="features")
app.add_typer(sql_app, name="sql")
app.add_typer(detector_app, name="detector")
app.add_typer(experiment_app, name="experiment")
app.add_typer(crops_app, name="crops")
app.add_typer(index_app, name="index")

_SKIP_HELP = "A quality gate, or a kind of them, that may fail; recorded. May be given again."
SkipGates = Annotated[list[str] | None, typer.Option(help=_SKIP_HELP)]


@dataclass(frozen=True)
class Job:
    """One day's work: where it reads, where it writes, what it may know, who does the work."""

    database: "Database"
    home: Path
    day: dt.date
    holdout_days: int
    progress: "Progress"
    skip_gates: tuple[str, ...] = ()
    engine: Engine = field(default_factory=Loop)

    @property
    def cutoff(self) -> dt.date:
        """The first held-out day: rankings know nothing of it or of what follows."""
        return self.day - dt.timedelta(days=self.holdout_days - 1)

    def days(self) -> list[dt.date]:
        """All days of the log, in order."""
        rows = self.database.read("SELECT DISTINCT date FROM requests ORDER BY date")
        days: list[dt.date] = [day for day in rows["date"].to_pylist() if day <= self.day]
        if not days or days[0] >= self.cutoff:
            raise ValueError(
                f"The log has no day before the held-out window that starts on {self.cutoff}; "
                "ingest more days or set a smaller --holdout-days."
            )
        return days


# --- the daily job: ingest -> visuals -> pairs -> train -> experiment -> report --------------


def run_day(job: Job, source: Path, extractor: Callable[[], "VisualExtractor"]) -> dict[str, Any]:
    """Everything for one day; what was done before from the same inputs is not done again."""
    done = {
        **ingest_step(job, source),
        **features_step(job, source, extractor()),
        **rank_step(job),
        **experiment_step(job),
        **report_step(job, source),
    }
    feature_version = feature_versions(job.database)["detected"]
    state = day_state(job.database, source, job.holdout_days, feature_version)
    job.database.mark_done("day", str(job.day), state, 0)
    return done


def day_state(database: "Database", source: Path, holdout_days: int, feature_version: str) -> str:
    """What a day was made from: input, features, held-out days, what was erased, the code."""
    from sql.database import fingerprint
    from sql.forgotten import forgotten_hashes
    from sql.source import content_hashes, source_files

    erased = {kind: sorted(hashes) for kind, hashes in forgotten_hashes(database).items()}
    files = content_hashes(source_files(source))
    return fingerprint(files, holdout_days, feature_version, erased, code_version())


@logged_step
def ingest_step(job: Job, source: Path) -> dict[str, Any]:
    from sql.ingest import ingest
    from sql.manifest import unmark_later

    unmark_later(job.database.engine, "day", str(job.day))

    def progress(_: str, done: int, total: int) -> None:
        job.progress("ingest", done, total)

    done = ingest(job.database, source, job.day, progress)
    return {"source": str(source.resolve()), "ingest": asdict(done)}


@logged_step
def features_step(job: Job, source: Path, extractor: "VisualExtractor") -> dict[str, Any]:
    from features.daily import refresh_pairs, refresh_true_visuals, refresh_visuals

    database, home, days = job.database, job.home, job.days()
    visuals = refresh_visuals(database, source, home, extractor, job.day, job.progress, job.engine)
    with_truth = refresh_true_visuals(database, source, home, extractor, job.progress, job.engine)
    pairs = refresh_pairs(database, home, extractor.feature_version, days, job.progress, job.engine)
    if with_truth:
        refresh_pairs(database, home, with_truth, days, job.progress, job.engine)
    versions = {"detected": extractor.feature_version, "true_boxes": with_truth}
    gates = input_gates_step(job, extractor)
    for kind, name in versions.items():
        database.mark_done("feature_version", kind, name or "none", 0, feature_version=name)
    return {
        "feature_version": extractor.feature_version,
        "visuals": asdict(visuals),
        "pairs": asdict(pairs),
        "input_gates": gates,
    }


def input_gates_step(job: Job, extractor: "VisualExtractor") -> dict[str, Any]:
    """What must hold before the features become current and anything is ranked by them."""
    from experiments.gates import enforce, input_gates
    from experiments.thresholds import read_thresholds

    thresholds, canary = read_thresholds(job.home), None
    if (coco := thresholds.canary_coco) and (photos := thresholds.canary_photos):
        from features.evaluation import evaluate

        def canary() -> float:
            return evaluate(extractor.detector.detect, coco, photos).ap50

    version = extractor.feature_version
    gates = input_gates(job.database, job.day, version, thresholds, canary)
    return enforce(job.database, job.day, gates, job.skip_gates)


@logged_step
def rank_step(job: Job) -> dict[str, Any]:
    from functools import cache, partial

    from experiments.arms import ARMS
    from ranking.engagement import refresh_engagement
    from ranking.ranking import holdout_metrics, rank_candidates, train_arm, training_table

    days, cutoff, metrics = job.days(), job.cutoff, {}
    train_to = cutoff - dt.timedelta(days=1)
    versions = feature_versions(job.database)
    refresh_engagement(job.database, days[0], job.day, cutoff)
    arms = [arm for arm in ARMS.values() if arm.feature_version_kind in versions]

    @cache
    def rows(feature_version: str) -> Any:
        columns = sorted({column for arm in arms for column in arm.columns})
        return training_table(job.database, feature_version, columns, days[0], train_to)

    for number, arm in enumerate(arms):
        job.progress("training", number, len(arms))
        feature_version = versions[arm.feature_version_kind]
        train_arm(
            job.database, job.home, job.day, arm.name, arm.columns, feature_version,
            days[0], train_to, arm.seed, partial(rows, feature_version),
        )  # fmt: skip
    job.progress("training", len(arms), len(arms))
    gates = ranking_gates_step(job)
    for number, arm in enumerate(arms):
        job.progress("ranking", number, len(arms))
        rank_candidates(job.database, job.home, job.day, cutoff, arm.name)
        found = holdout_metrics(job.database, job.day, arm.name, cutoff)
        metrics[arm.name] = {metric.metric: metric.value for metric in found}
    job.progress("ranking", len(arms), len(arms))
    return {"ranking": metrics, "ranking_gates": gates}


def ranking_gates_step(job: Job) -> dict[str, Any]:
    """What must hold of the new rankers before any of their rankings is written."""
    from experiments.gates import enforce, ranking_gate
    from experiments.plan import DAILY
    from experiments.thresholds import read_thresholds
    from ranking.ranking import metrics_if_published

    found = metrics_if_published(job.database, job.home, job.day, job.cutoff, DAILY.treatment)
    ndcg = next(metric.value for metric in found if metric.metric == "ndcg@10")
    thresholds = read_thresholds(job.home)
    gate = ranking_gate(job.database, job.day, DAILY.treatment, ndcg, thresholds)
    return enforce(job.database, job.day, [gate], job.skip_gates)


@logged_step
def experiment_step(job: Job) -> dict[str, Any]:
    from experiments.experiment import Setting, run_experiment
    from experiments.plan import DAILY

    plan = replace(DAILY, days=job.holdout_days)
    setting = Setting(job.day, feature_versions(job.database)["detected"])
    job.progress("experiment", 0, 1)
    summary = run_experiment(job.database, plan, setting)
    job.progress("experiment", 1, 1)
    lifts = [asdict(lift) for lift in summary.lifts]
    return {
        "verdict": summary.verdict.sentence,
        "decision": summary.verdict.decision,
        "lift": lifts,
    }


@logged_step
def report_step(job: Job, source: Path) -> dict[str, Any]:
    from experiments.report.page import write_report

    job.progress("report", 0, 1)
    path = write_report(job.database, source, job.home, job.day, job.holdout_days)
    job.progress("report", 1, 1)
    return {"report": str(path)}


# --- the command line ------------------------------------------------------------------------


@app.callback()
def related_pins(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Object-level visual features for Related Pins, in SQL, judged by offline A/B."""
    if show_version:
        print(code_version())
        raise typer.Exit


@app.command()
def daily(
    source: Source, date: Day, home: Home = HOME, db: Db = None, holdout_days: Holdout = 4,
    detector: DetectorName = "bundled", embedder: EmbedderName = "lite0",
    pooling: Pooling = "roi_align", projection: ProjectionName = "bundled",
    engine: EngineOption = "local", workers: Workers = None,
    skip_gates: SkipGates = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Everything for one day: ingest, visuals, pairs, train, rank, experiment, report.

    Example: related-pins daily --source data --date 2026-11-15
    """
    by = named_engine(engine, workers)
    with started("daily", date, home, db, holdout_days, as_json, skip_gates, by) as (job, summary):
        summary |= run_day(
            job, source, lambda: visual_extractor(detector, embedder, pooling, projection)
        )


@app.command()
def backfill(
    source: Source,
    first: Annotated[dt.datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    last: Annotated[dt.datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")],
    home: Home = HOME, db: Db = None, holdout_days: Holdout = 4,
    detector: DetectorName = "bundled", embedder: EmbedderName = "lite0",
    pooling: Pooling = "roi_align", projection: ProjectionName = "bundled",
    engine: EngineOption = "local", workers: Workers = None, skip_gates: SkipGates = None,
) -> None:  # fmt: skip
    """The daily job for each of several days, in order; goes on after the last day that is done.

    Example: related-pins backfill --source data --from 2026-11-10 --to 2026-11-15
    """
    from functools import cache

    from experiments.backfill import backfill as each_day

    by, database = named_engine(engine, workers), opened(home, db)
    extractor = cache(lambda: visual_extractor(detector, embedder, pooling, projection))

    def is_done(day: dt.date) -> bool:
        version = extractor().feature_version
        return database.is_done("day", str(day), day_state(database, source, holdout_days, version))

    def run(day: dt.date) -> None:
        at = dt.datetime.combine(day, dt.time())
        with started("daily", at, home, db, holdout_days, False, skip_gates, by) as (job, summary):
            summary |= run_day(job, source, extractor)

    done = each_day(first.date(), last.date(), is_done, run)
    print(f"{len(done)} days done now, to {last.date()}; the others were done before.")


@app.command()
def ingest(
    source: Source, date: Day, home: Home = HOME, db: Db = None, as_json: AsJson = False
) -> None:
    """Read the input up to a date into the database; set bad rows aside.

    Example: related-pins ingest --source data --date 2026-11-15
    """
    with started("ingest", date, home, db, 1, as_json) as (job, summary):
        summary |= ingest_step(job, source)


@features_app.callback()
def features(
    context: typer.Context, date: Annotated[dt.datetime | None, typer.Option()] = None,
    source: LastSource = None, home: Home = HOME, db: Db = None, holdout_days: Holdout = 4,
    detector: DetectorName = "bundled", embedder: EmbedderName = "lite0",
    pooling: Pooling = "roi_align", projection: ProjectionName = "bundled",
    engine: EngineOption = "local", workers: Workers = None,
    skip_gates: SkipGates = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Visuals of new or changed pins, and the features of all pairs.

    Example: related-pins features --date 2026-11-15
    """
    if context.invoked_subcommand:
        return
    if date is None:
        raise typer.BadParameter("give the day, for example --date 2026-11-15", param_hint="--date")
    by, command = named_engine(engine, workers), "features"
    with started(command, date, home, db, holdout_days, as_json, skip_gates, by) as (job, summary):
        extractor = visual_extractor(detector, embedder, pooling, projection)
        summary |= features_step(job, last_source(job.database, source), extractor)


@app.command()
def rank(
    date: Day, home: Home = HOME, db: Db = None, holdout_days: Holdout = 4,
    skip_gates: SkipGates = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Train each arm on the days before the held-out window, and rank all candidates.

    Example: related-pins rank --date 2026-11-15
    """
    with started("rank", date, home, db, holdout_days, as_json, skip_gates) as (job, summary):
        summary |= rank_step(job)


@experiment_app.callback()
def experiment(
    context: typer.Context, date: Annotated[dt.datetime | None, typer.Option()] = None,
    home: Home = HOME, db: Db = None, holdout_days: Holdout = 4, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Compare the arms' engagement with whole_image on the held-out days.

    Example: related-pins experiment --date 2026-11-15
    """
    if context.invoked_subcommand:
        return
    if date is None:
        raise typer.BadParameter("give the day, for example --date 2026-11-15", param_hint="--date")
    with started("experiment", date, home, db, holdout_days, as_json) as (job, summary):
        summary |= experiment_step(job)


@app.command()
def report(
    date: Day, source: LastSource = None, home: Home = HOME, db: Db = None,
    holdout_days: Holdout = 4, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write the report of a date as one HTML file.

    Example: related-pins report --date 2026-11-15
    """
    with started("report", date, home, db, holdout_days, as_json) as (job, summary):
        summary |= report_step(job, last_source(job.database, source))


@app.command()
def sample(
    directory: Path,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 20261115,
    object_effect: Annotated[bool, typer.Option(help="Whether objects matter to users.")] = True,
) -> None:
    """Write a simulated data set in the input contract.

    Example: related-pins sample demo/sample
    """
    from experiments.world.behaviour import Effects
    from experiments.world.sample import write_sample

    effects = Effects() if object_effect else Effects(object_effect=0)
    with bars() as progress:
        done = iter(range(1, 10**9))
        written = write_sample(
            directory, seed=seed, effects=effects,
            on_image=lambda: progress("drawing pins", next(done), 420),
        )  # fmt: skip
    print(f"Simulated sample in {directory}: {sum(written.rows.values()):,} rows.")
    print(f"Next: related-pins daily --source {directory} --date 2026-11-15")


@crops_app.command("label")
def crops_label(
    date: Day, source: LastSource = None, home: Home = HOME, db: Db = None,
    coco: Annotated[Path | None, typer.Option(help="COCO file to write, to train on.")] = None,
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="For the COCO file.")] = 0.0,
    embedder: EmbedderName = "lite0", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Objects with labels from the crops up to a date: the table weak_objects, and a COCO file.

    Example: related-pins crops label --date 2026-11-15 --coco weak.json
    """
    from features.embedding import Embedder
    from features.weak_objects import make_weak_objects, weak_coco

    with started("crops label", date, home, db, 1, as_json) as (job, summary):
        folder = last_source(job.database, source)
        made = make_weak_objects(
            job.database, folder, home, Embedder(embedder), job.day, job.progress
        )
        if coco is not None:
            coco.parent.mkdir(parents=True, exist_ok=True)
            coco.write_text(json.dumps(weak_coco(made.objects, min_confidence)) + "\n")
        summary |= {"source": str(folder.resolve()), "weak_objects": len(made.objects)}
        summary |= {"crops_set_aside": dict(made.set_aside), "coco": coco and str(coco)}


app.command()(detect)
app.command()(forget)
app.command()(search)
app.command()(status)


# --- around every command --------------------------------------------------------------------


@contextmanager
def started(
    command: str, date: dt.datetime, home: Path, db: str | None, holdout_days: int, as_json: bool,
    skip_gates: Sequence[str] | None = None, engine: Engine | None = None,
) -> Iterator[tuple[Job, dict[str, Any]]]:  # fmt: skip
    """A command that writes: its log, its lock, its database, its row in `runs`, its bars, its
    summary at the end.
    """
    from experiments.gates import known_names
    from sql.lock import locked
    from sql.runs import new_run_id, recorded_run

    skip = known_names(skip_gates or ())
    begun, day, run_id = time.monotonic(), date.date(), new_run_id()
    with logged(home, command, run_id, db), locked(home, db, command) as database:
        clear_leftovers(home)
        database.upgrade()
        run = recorded_run(database, command, day, code_version(), run_id)
        with run as summary, bars() as progress:
            by = engine or Loop()
            yield Job(database, home, day, holdout_days, progress, skip, by), summary
            summary |= {"seconds": round(time.monotonic() - begun, 1), "peak_memory_gb": peak_gb()}
    if as_json:
        print(masked(json.dumps(summary, indent=1, default=str), db))
        return
    from experiments.summary import summary_text

    print(masked(summary_text(database, command, day, home, summary), db))


def code_version() -> str:
    try:
        return version("related-pins")
    except PackageNotFoundError:
        return "unknown"


def peak_gb() -> float:
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def main() -> None:
    """The command line. Exit codes: 0 done, 1 an error in one sentence, 2 wrong usage, 3 a critical
    check of an experiment or a quality gate failed, 4 another command is writing.
    """
    try:
        app()
    except Exception as error:
        from experiments.gates import GateFailed
        from sql.lock import Busy

        urls = (*sys.argv, os.environ.get("RELATED_PINS_DB"))
        known = _for_people(error)
        if isinstance(error, GateFailed):
            text, code = str(error), 3
        else:
            text = in_one_line(error) if known else "".join(traceback.format_exception(error))
            text, code = f"Error: {text.strip()}", 4 if isinstance(error, Busy) else 1
        print(masked(text, *urls), file=sys.stderr)
        raise SystemExit(code) from None


def _for_people(error: Exception) -> bool:
    """Whether the error's text says what is wrong with the input, a file or the database."""
    from adbc_driver_manager import Error as ArrowDatabaseError
    from sqlalchemy.exc import SQLAlchemyError

    from sql.lock import Busy

    known = ValueError | OSError | SQLAlchemyError | ArrowDatabaseError | Busy
    return isinstance(error, known) or sentence(error) is not None


if __name__ == "__main__":
    main()
