"""The daily job, readable from top to bottom: ingest, visuals, pairs, train, experiment, report.

Heavy imports happen inside the steps that need them.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.engine.engine import Engine, Loop
from sql.home import feature_versions
from sql.logs import logged_step

if TYPE_CHECKING:
    from features.visuals.store import Progress
    from features.visuals.visuals import VisualExtractor
    from sql.database import Database


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
        from features.detector.evaluation import evaluate

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
    from experiments.experiment import Setting, run_cold_start, run_experiment
    from experiments.plan import DAILY

    plan = replace(DAILY, days=job.holdout_days)
    setting = Setting(job.day, job.versions()["detected"])
    job.progress("experiment", 0, 1)
    summary = run_experiment(job.database, plan, setting)
    cold = run_cold_start(job.database, setting, job.holdout_days)
    job.progress("experiment", 1, 1)
    lifts = [asdict(lift) for lift in summary.lifts]
    return {
        "verdict": summary.verdict.sentence,
        "decision": summary.verdict.decision,
        "cold_start": cold and cold.sentence,
        "lift": lifts,
    }


@logged_step
def report_step(job: Job, source: Path) -> dict[str, Any]:
    from experiments.report.page import write_report

    job.progress("report", 0, 1)
    path = write_report(job.database, source, job.home, job.day, job.holdout_days)
    job.progress("report", 1, 1)
    return {"report": str(path)}


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


def code_version() -> str:
    try:
        return version("related-pins")
    except PackageNotFoundError:
        return "unknown"
