"""related-pins: object-level visual features for Related Pins, judged by offline A/B.

The front door: the command line. Heavy imports happen inside the functions that need them: analysts
and owners never load torch.
"""

import datetime as dt
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daily import (
    Job,
    code_version,
    experiment_step,
    features_step,
    ingest_step,
    rank_step,
    report_step,
    run_day,
)
from experiments.commands import app as experiment_app
from features.detector_commands import app as detector_app
from features.engine.engine import Engine, Loop
from features.engine.named import named_engine
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
from ranking import wait_briefly
from sql.commands import app as sql_app
from sql.commands import status
from sql.errors import in_one_line, sentence
from sql.home import HOME, Db, Home, clear_leftovers
from sql.logs import logged, masked

wait_briefly()

if TYPE_CHECKING:
    from features.visuals.visuals import VisualExtractor

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
    from backfill import Backfill, Extractor, backfill_days, loaded
    from days_in_order import days_between
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
    detector: Annotated[
        str | None, typer.Option(help="Trained on an earlier COCO file: what it sees beside the "
                                      "objects is no background in the new one.")
    ] = None,
    embedder: EmbedderName = "lite0", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Objects with labels from the crops up to a date: the table weak_objects, and a COCO file.

    Example: related-pins crops label --date 2026-11-15 --coco weak.json
    """
    from features.detector.detector import load_detector
    from features.embedding.embedding import Embedder
    from features.weak.coco import seen_beside, weak_coco
    from features.weak.objects import make_weak_objects

    if detector is not None and coco is None:
        raise typer.BadParameter("what it sees goes into the COCO file; give --coco too",
                                 param_hint="--detector")  # fmt: skip
    with started("crops label", date, home, db, 1, as_json) as (job, summary):
        folder = last_source(job.database, source)
        made = make_weak_objects(
            job.database, folder, home, Embedder(embedder), job.day, job.progress
        )
        if coco is not None:
            seen = None
            if detector is not None:
                teacher = load_detector(detector)
                seen = seen_beside(made.objects, made.files, teacher, job.progress)
            coco.parent.mkdir(parents=True, exist_ok=True)
            coco.write_text(json.dumps(weak_coco(made.objects, seen)) + "\n")
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
