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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
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
from features.serve.commands import serve
from sql.commands import app as sql_app
from sql.commands import status
from sql.errors import in_one_line, sentence
from sql.home import HOME, Db, Home, clear_leftovers, feature_versions
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
_THIS_HELP = "Feature version that the options must make; else nothing is done."
ThisVersion = Annotated[str | None, typer.Option("--feature-version", help=_THIS_HELP)]
_BESIDE_HELP = "The version becomes current by `features use` only, not now; no gates are run."
_BY_HELP = "A complete feature version. [default: the current one]"
ByVersion = Annotated[str | None, typer.Option("--feature-version", help=_BY_HELP)]


@dataclass(frozen=True)
class Job:
    """One day's work: where it reads, where it writes, what it may know, who does the work."""

    database: "Database"
    home: Path
    day: dt.date
    holdout_days: int
    progress: "Progress"
    skip_gates: tuple[str, ...] = ()
    feature_version: str | None = None
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

    def versions(self) -> dict[str, str]:
        """Feature versions by kind, as sql.home.feature_versions: those of the version that was
        named, else the current ones. Raises ValueError where that is not complete."""
        from features.versions import complete

        if self.feature_version is None:
            return feature_versions(self.database)
        return complete(self.database, self.home, self.feature_version)


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
def features_step(
    job: Job, source: Path, extractor: "VisualExtractor", beside: bool = False
) -> dict[str, Any]:
    """Visuals and pairs; their version becomes the current one, unless it is to stand beside it."""
    from features.daily import refresh_pairs, refresh_true_visuals, refresh_visuals
    from features.versions import use

    database, home, days = job.database, job.home, job.days()
    visuals = refresh_visuals(database, source, home, extractor, job.day, job.progress, job.engine)
    with_truth = refresh_true_visuals(database, source, home, extractor, job.progress, job.engine)
    pairs = refresh_pairs(database, home, extractor.feature_version, days, job.progress, job.engine)
    if with_truth:
        refresh_pairs(database, home, with_truth, days, job.progress, job.engine)
    done = {
        "feature_version": extractor.feature_version,
        "visuals": asdict(visuals),
        "pairs": asdict(pairs),
    }
    if beside:
        return done | {"beside": True}
    done["input_gates"] = input_gates_step(job, extractor)
    use(database, {"detected": extractor.feature_version, "true_boxes": with_truth})
    return done


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
    from experiments.arms import ARMS
    from ranking.engagement import refresh_engagement
    from ranking.ranking import holdout_metrics, rank_candidates, train_arm, training_table

    days, cutoff, metrics = job.days(), job.cutoff, {}
    train_to = cutoff - dt.timedelta(days=1)
    versions = job.versions()
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
            days[0], train_to, arm.seed, partial(rows, feature_version), arm.linear,
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
    setting = Setting(job.day, job.versions()["detected"])
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


# --- past days -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Backfill:
    """Past days to be done: from where, into which home and database, and how; `run_ids` by day.

    It is pickled for the processes that make days, so `extractor` is a function of a module or an
    Extractor.
    """

    source: Path
    home: Path
    url: str
    holdout_days: int
    extractor: Callable[[], "VisualExtractor"]
    run_ids: Mapping[dt.date, str]
    skip_gates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Extractor:
    """The extractor that the options name; it is loaded when this is called."""

    detector: str
    embedder: str
    pooling: str
    projection: str

    def __call__(self) -> "VisualExtractor":
        return visual_extractor(self.detector, self.embedder, self.pooling, self.projection)


@cache
def loaded(extractor: Callable[[], "VisualExtractor"]) -> "VisualExtractor":
    """The extractor, loaded once in a process."""
    return extractor()


def backfill_days(
    database: "Database",
    work: Backfill,
    days: Sequence[dt.date],
    jobs: int,
    progress: "Progress",
    engine: Engine | None = None,
) -> dict[dt.date, dict[str, Any]]:
    """Does those of the days that are not done, in up to `jobs` processes; their summaries by day.

    The visuals of all of them are made first. Where the home's own log ends before the last day or
    on it, that day is done in the home itself, as the daily job does it, after the others.
    """
    from experiments.backfill import in_order
    from sql.runs import recorded_run

    extractor, last = loaded(work.extractor), days[-1]
    job = Job(database, work.home, last, work.holdout_days, progress, work.skip_gates,
              engine=engine or Loop())  # fmt: skip
    state = day_state(database, work.source, work.holdout_days, extractor.feature_version)
    todo = [day for day in days if not database.is_done("day", str(day), state)]
    newest = database.read("SELECT MAX(date) AS date FROM requests")["date"][0].as_py()
    at_the_end = newest is None or last >= newest
    if todo:
        visuals_step(job, work.source, extractor, ingest_first=at_the_end)
    past = [day for day in todo if day != last or not at_the_end]
    done: dict[dt.date, dict[str, Any]] = {}

    def publish(day: dt.date, made: Callable[[], dict[str, Any]]) -> None:
        progress("days", len(done), len(todo))
        with recorded_run(database, "daily", day, code_version(), work.run_ids[day]) as summary:
            summary |= publish_day(replace(job, day=day), made(), extractor)
            database.mark_done("day", str(day), state, 0)
            done[day] = summary

    in_order(past, partial(make_day, work), publish, min(jobs, max(len(past), 1)))
    if todo and todo[-1] not in past:
        progress("days", len(done), len(todo))
        with recorded_run(database, "daily", last, code_version(), work.run_ids[last]) as summary:
            summary |= run_day(job, work.source, lambda: extractor)
            done[last] = summary
    progress("days", len(todo), max(len(todo), 1))
    return done


@logged_step
def visuals_step(
    job: Job, source: Path, extractor: "VisualExtractor", ingest_first: bool
) -> dict[str, Any]:
    """The visuals of all pins, in the home, where every day to be made finds them."""
    from features.daily import refresh_visuals

    if ingest_first:
        ingest_step(job, source)
    visuals = refresh_visuals(
        job.database, source, job.home, extractor, job.day, job.progress, job.engine
    )
    return {"visuals": asdict(visuals)}


def make_day(work: Backfill, day: dt.date) -> dict[str, Any]:
    """All of a day but for its gates, in a home of its own and mostly a process of its own."""
    from experiments.backfill import new_home
    from sql.database import open_database

    extractor = loaded(work.extractor)
    with logged(work.home, "daily", work.run_ids[day], work.url):
        database, folder = new_home(open_database(work.url), work.home, day)
        job = Job(
            database, folder, day, work.holdout_days, lambda *_: None,
            feature_version=extractor.feature_version,
        )  # fmt: skip
        return {
            **ingest_step(job, work.source),
            **features_step(job, work.source, extractor, beside=True),
            **rank_step(job),
            **experiment_step(job),
            **report_step(job, work.source),
        }


def publish_day(job: Job, made: dict[str, Any], extractor: "VisualExtractor") -> dict[str, Any]:
    """Runs the gates of a day that was made in a home of its own, and takes it over."""
    from experiments.backfill import home_of, take_over, with_history
    from sql.tables import quality_gates

    own, folder = home_of(job.home, job.day)
    judged = replace(job, database=own, feature_version=extractor.feature_version)
    with_history(job.database, own, job.day)
    try:
        gates = {
            "input_gates": input_gates_step(judged, extractor),
            "ranking_gates": ranking_gates_step(replace(judged, home=folder)),
        }
    finally:
        found = own.read("SELECT * FROM quality_gates WHERE date = :date", date=job.day)
        job.database.replace(quality_gates, found, date=job.day)
    take_over(own, folder, job.database, job.home, job.day)
    report = job.home / "reports" / str(job.day) / "report.html"
    return made | gates | {"report": str(report)}


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
    feature_version: ThisVersion = None, skip_gates: SkipGates = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Everything for one day: ingest, visuals, pairs, train, rank, experiment, report.

    Example: related-pins daily --source data --date 2026-11-15
    """
    extractor = cache(lambda: visual_extractor(detector, embedder, pooling, projection))
    by = named_engine(engine, workers)
    with started("daily", date, home, db, holdout_days, as_json, skip_gates, by) as (job, summary):
        check_version(extractor, feature_version)
        summary |= run_day(job, source, extractor)


@app.command()
def backfill(
    source: Source,
    first: Annotated[dt.datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    last: Annotated[dt.datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")],
    home: Home = HOME, db: Db = None, holdout_days: Holdout = 4,
    detector: DetectorName = "bundled", embedder: EmbedderName = "lite0",
    pooling: Pooling = "roi_align", projection: ProjectionName = "bundled",
    engine: EngineOption = "local", workers: Workers = None,
    jobs: Annotated[int, typer.Option(min=1, help="Days that are made at once.")] = 1,
    feature_version: ThisVersion = None, skip_gates: SkipGates = None,
) -> None:  # fmt: skip
    """The daily job for each of several past days; goes on with those that are not done.

    Example: related-pins backfill --source data --from 2026-11-10 --to 2026-11-15 --jobs 8
    """
    from experiments.backfill import days_between
    from experiments.gates import known_names
    from sql.lock import locked
    from sql.runs import new_run_id

    days = days_between(first.date(), last.date())
    extractor = Extractor(detector, embedder, pooling, projection)
    check_version(partial(loaded, extractor), feature_version)
    by = named_engine(engine, workers or (jobs if engine == "local" else None))
    run_ids = {day: new_run_id() for day in days}
    skip = known_names(skip_gates or ())
    with logged(home, "backfill", new_run_id(), db), locked(home, db, "backfill") as database:
        clear_leftovers(home)
        database.upgrade()
        work = Backfill(source, home, database.url, holdout_days, extractor, run_ids, skip)
        with bars() as progress:
            done = backfill_days(database, work, days, jobs, progress, by)
        clear_leftovers(home)
    for day, summary in done.items():
        print(f"{day}  {summary['decision']}: {summary['verdict']}")
    print(f"{len(done)} of {len(days)} days done now; the others were done before.")
    print('Next: related-pins sql query "SELECT date, arm, lift FROM experiment_lift"')


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
    beside: Annotated[bool, typer.Option("--beside", help=_BESIDE_HELP)] = False,
    engine: EngineOption = "local", workers: Workers = None,
    skip_gates: SkipGates = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Visuals of new or changed pins, and the features of all pairs.

    Example: related-pins features --date 2026-11-15 --detector new.pt --beside
    """
    if context.invoked_subcommand:
        return
    if date is None:
        raise typer.BadParameter("give the day, for example --date 2026-11-15", param_hint="--date")
    by, command = named_engine(engine, workers), "features"
    with started(command, date, home, db, holdout_days, as_json, skip_gates, by) as (job, summary):
        extractor = visual_extractor(detector, embedder, pooling, projection)
        summary |= features_step(job, last_source(job.database, source), extractor, beside)


@app.command()
def rank(
    date: Day, home: Home = HOME, db: Db = None, holdout_days: Holdout = 4,
    feature_version: ByVersion = None, skip_gates: SkipGates = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Train each arm on the days before the held-out window, and rank all candidates.

    Example: related-pins rank --date 2026-11-15
    """
    with started("rank", date, home, db, holdout_days, as_json, skip_gates) as (job, summary):
        summary |= rank_step(replace(job, feature_version=feature_version))


@experiment_app.callback()
def experiment(
    context: typer.Context, date: Annotated[dt.datetime | None, typer.Option()] = None,
    home: Home = HOME, db: Db = None, holdout_days: Holdout = 4,
    feature_version: ByVersion = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Compare the arms' engagement with whole_image on the held-out days.

    Example: related-pins experiment --date 2026-11-15
    """
    if context.invoked_subcommand:
        return
    if date is None:
        raise typer.BadParameter("give the day, for example --date 2026-11-15", param_hint="--date")
    with started("experiment", date, home, db, holdout_days, as_json) as (job, summary):
        summary |= experiment_step(replace(job, feature_version=feature_version))


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
app.command()(serve)
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
            yield Job(database, home, day, holdout_days, progress, skip, engine=by), summary
            summary |= {"seconds": round(time.monotonic() - begun, 1), "peak_memory_gb": peak_gb()}
    if as_json:
        print(masked(json.dumps(summary, indent=1, default=str), db))
        return
    from experiments.summary import summary_text

    print(masked(summary_text(database, command, day, home, summary), db))


def check_version(extractor: Callable[[], "VisualExtractor"], wanted: str | None) -> None:
    """Raises ValueError where another feature version is wanted than the extractor's."""
    if wanted is not None and (made := extractor().feature_version) != wanted:
        raise ValueError(
            f"These options make the feature version {made}, not {wanted}; give those of {wanted}, "
            "or leave out --feature-version to change over."
        )


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
