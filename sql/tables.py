"""The tables: one grain sentence per table, meaning and unit per column.

Times are UTC. `date` is the UTC day. Text keys come from the input contract; `feature_version` is
the short hash of everything that changes the numbers in a visual feature.
"""

from typing import Any

import sqlalchemy as sa

from sql.columns import (
    ACTIONS,
    CATEGORIES,
    ENGAGEMENT_FEATURES,
    FURNISHINGS,
    GARMENTS,
    PAIR_FEATURES,
    PAIR_INTEREST,
    count,
    day,
    day_key,
    key,
    real,
    text,
    time,
    whole,
)

__all__ = [
    "ACTIONS", "CATEGORIES", "ENGAGEMENT_FEATURES", "FURNISHINGS", "GARMENTS", "METADATA",
    "PAIR_FEATURES", "PAIR_INTEREST",
]  # fmt: skip

METADATA = sa.MetaData()


def _table(name: str, grain: str, *columns: sa.schema.SchemaItem) -> sa.Table:
    keys = [c for c in columns if isinstance(c, sa.Column) and c.primary_key]
    # SQLite keeps the rows of a composite key in the order of the key: smaller, one lookup fewer
    return sa.Table(name, METADATA, *columns, comment=grain, sqlite_with_rowid=len(keys) == 1)


# --- what comes in -------------------------------------------------------------------------

pins = _table(
    "pins", "One row per pin.",
    key("pin_id", "pin"),
    text("image", "path of the image relative to the source folder, or a URI"),
    text("title", "title of the pin"),
    text("board", "board the pin was saved to"),
    time("created_at", "when the pin was created"),
)  # fmt: skip

requests = _table(
    "requests", "One row per Related Pins page that a user opened.",
    key("request_id", "request"),
    day(comment="UTC day of requested_at"),
    text("user_id", "user who opened the page"),
    text("query_pin_id", "pin the page is about"),
    time("requested_at", "when the page was opened"),
    text("policy", "production, or random (candidates in random order)"),
    text("platform", "where the page was shown, for example ios or web"),
    sa.Index("requests_by_date", "date"),
)  # fmt: skip

impressions = _table(
    "impressions", "One row per candidate pin shown on a request.",
    key("request_id", "request"),
    key("candidate_pin_id", "pin that was shown"),
    day(comment="UTC day of the request"),
    whole("position", "place on the page, from 1"),
    real("propensity", "marginal probability, under the logging policy, of this candidate at this "
                        "position; null where it was not logged"),
    sa.Index("impressions_by_date", "date"),
)  # fmt: skip

engagements = _table(
    "engagements", "One row per request, candidate pin and action; repeats are set aside.",
    key("request_id", "request"),
    key("candidate_pin_id", "pin that was acted on"),
    key("action", "closeup, click, long_click, save or hide"),
    day(comment="UTC day of engaged_at"),
    time("engaged_at", "when the action happened"),
    sa.Index("engagements_by_date", "date"),
)  # fmt: skip

candidates = _table(
    "candidates", "One row per pair of pins to be ranked.",
    key("query_pin_id", "pin the page is about"),
    key("candidate_pin_id", "pin that may be shown"),
    text("source", "what proposed the candidate, for example board, popular, visual"),
)  # fmt: skip

crops = _table(
    "crops", "One row per visual search that a user made by cropping a pin.",
    key("crop_id", "crop"),
    day(comment="UTC day of cropped_at"),
    text("user_id", "user who cropped"),
    text("pin_id", "pin that was cropped"),
    real("x1", "left edge, pixels of the original image"),
    real("y1", "top edge, pixels of the original image"),
    real("x2", "right edge, pixels of the original image"),
    real("y2", "bottom edge, pixels of the original image"),
    time("cropped_at", "when the crop was made"),
    sa.Index("crops_by_pin", "pin_id", "date"),
)  # fmt: skip

true_boxes = _table(
    "true_boxes", "One row per object that people have boxed by hand (boxes*.json); only measured "
                  "against, never a feature of an arm that could be shipped.",
    key("pin_id", "pin"),
    key("box_no", "number of the box within the pin, from 0", sa.Integer()),
    text("category", "category of the object"),
    real("x1", "left edge, pixels of the original image"),
    real("y1", "top edge, pixels of the original image"),
    real("x2", "right edge, pixels of the original image"),
    real("y2", "bottom edge, pixels of the original image"),
)  # fmt: skip

# --- what is set aside, and what was done ---------------------------------------------------

quarantine = _table(
    "quarantine", "One row per input row or image that was set aside, with the reason.",
    key("source_table", "input it came from: pins, requests, ..., or image"),
    key("row_key", "key of the row (key columns joined by /), or its row number from 0 where "
                    "it has no key; a repeat adds #2, #3, ..."),
    key("reason", "why it was set aside: repeated, orphan, late, null_<column>, ..."),
    text("row_json", "the row as it came, as JSON"),
    day(comment="date of the run that first set it aside"),
)  # fmt: skip

runs = _table(
    "runs", "One row per command that wrote to this database.",
    key("run_id", "run"),
    text("command", "daily, backfill, ingest, features, rank, experiment, report or crops label"),
    day(comment="date the run was for"),
    text("code_version", "version of the program"),
    text("feature_version", "version of the visual features; null where none were involved"),
    time("started_at", "start, UTC"),
    time("finished_at", "end, UTC; null while it runs or where it was killed"),
    text("status", "running, done, failed or killed; a run that was killed says running until the "
                   "next one"),
    text("summary", "counts of the run, as JSON"),
)  # fmt: skip

manifest = _table(
    "manifest", "One row per finished piece of work; a piece whose inputs still have the same "
                "fingerprint is not done again.",
    key("step", "visuals, pair_features, pair_interest, model, rankings, ..."),
    key("piece", "piece of the step, for example a shard, a date or an arm"),
    text("feature_version", "version of the visual features; null where none are involved"),
    text("fingerprint", "hash of everything the piece was made from"),
    text("path", "file that holds the piece, relative to the home folder; null for rows in SQL"),
    count("n_rows", "rows in the piece"),
    time("finished_at", "when it was finished, UTC"),
)  # fmt: skip

quality_gates = _table(
    "quality_gates", "One row per date of the run and quality gate: what had to hold before the "
                     "day was published.",
    day_key("date of the run"),
    key("name", "<kind>/<what>; kinds are rows, objects, nulls, drift, canary and ranking"),
    whole("passed", "1 if passed, else 0"),
    whole("skipped", "1 if it failed and an operator published nevertheless, else 0"),
    real("value", "what was measured; null where it could not be"),
    text("expected", "what would pass"),
    text("detail", "one sentence"),
)  # fmt: skip

forgotten = _table(
    "forgotten", "One row per pin or user that was erased and must not come back with the input.",
    key("kind", "pin or user"),
    key("id_sha256", "SHA-256 of the id, hexadecimal"),
    time("forgotten_at", "when it was erased, UTC"),
)  # fmt: skip

# --- what is seen in the pixels -------------------------------------------------------------

pin_visuals = _table(
    "pin_visuals", "One row per pin with a readable image, and feature version.",
    key("feature_version", "version of the visual features"),
    key("pin_id", "pin"),
    text("content_hash", "SHA-256 of the image file, hexadecimal"),
    whole("width", "width of the original image, pixels"),
    whole("height", "height of the original image, pixels"),
    whole("n_objects", "objects found"),
    text("dominant_category", "category of the dominant object; null where no object was found"),
    text("shard", "visual shard that holds the embeddings"),
    sa.Index("pin_visuals_by_pin", "pin_id"),
)  # fmt: skip

pin_objects = _table(
    "pin_objects", "One row per object found in a pin, and feature version.",
    key("feature_version", "version of the visual features"),
    key("pin_id", "pin"),
    key("object_no", "number of the object within the pin, from 0, by falling score", sa.Integer()),
    text("category", "category of the object"),
    real("score", "confidence of the detector, 0 to 1"),
    real("x1", "left edge, pixels of the original image"),
    real("y1", "top edge, pixels of the original image"),
    real("x2", "right edge, pixels of the original image"),
    real("y2", "bottom edge, pixels of the original image"),
    real("area_share", "area of the box as a share of the image, 0 to 1"),
    whole("is_dominant", "1 for the dominant object of the pin, else 0"),
    real("lab_l", "salient colour of the object, CIE L*, 0 to 100"),
    real("lab_a", "salient colour of the object, CIE a*, about -128 to 127"),
    real("lab_b", "salient colour of the object, CIE b*, about -128 to 127"),
    sa.Index("pin_objects_by_pin", "pin_id"),
    sa.Index("pin_objects_by_category", "category"),
)  # fmt: skip

object_interest = _table(
    "object_interest", "One row per object, feature version and date, for pins cropped before it.",
    key("feature_version", "version of the visual features"),
    day_key("day before which the crops were made"),
    key("pin_id", "pin"),
    key("object_no", "number of the object within the pin", sa.Integer()),
    count("n_croppers", "users whose crop of the pin fell on the object more than on any other"),
    real("interest", "share of the pin's cropping that fell on the object, 0 to 1"),
)  # fmt: skip

weak_objects = _table(
    "weak_objects", "One row per object that people's crops mark in a pin; made anew from all "
                    "crops up to a date.",
    key("pin_id", "pin"),
    key("object_no", "number of the object within the pin, from 0, by falling confidence",
        sa.Integer()),
    day(comment="last UTC day of the crops it was made from"),
    text("category", "likeliest category of the object"),
    real("x1", "left edge, pixels of the original image"),
    real("y1", "top edge, pixels of the original image"),
    real("x2", "right edge, pixels of the original image"),
    real("y2", "bottom edge, pixels of the original image"),
    count("n_users", "users with a crop of the object"),
    count("n_croppers", "users with a usable crop of the pin"),
    real("box_confidence", "chance that there is an object, from the users alone, 0 to 1"),
    real("label_confidence", "share of the likeliest category, 0 to 1"),
    text("labels_json", "share of each category above 0.01, by falling share, as a JSON object"),
    text("annotations_json", "share of each annotation of the visually nearest pins above 0.01, by "
                             "falling share, as a JSON object"),
    sa.Index("weak_objects_by_category", "category"),
)  # fmt: skip

pair_features = _table(
    "pair_features", "One row per query pin, candidate pin and feature version: what the pixels "
                     "say.",
    key("feature_version", "version of the visual features"),
    key("query_pin_id", "pin the page is about"),
    key("candidate_pin_id", "pin that may be shown"),
    *(real(name, meaning) for name, meaning in PAIR_FEATURES.items()),
    text("inputs", "what the row was made from: revision of the features, and the first 16 digits "
                   "of the content hashes of the query pin's and of the candidate pin's image"),
)  # fmt: skip

pair_interest = _table(
    "pair_interest", "One row per query pin, candidate pin, feature version and date, for query "
                     "pins cropped before the date: what people's crops say about the pair.",
    key("feature_version", "version of the visual features"),
    day_key("day before which the crops were made"),
    key("query_pin_id", "pin the page is about"),
    key("candidate_pin_id", "pin that may be shown"),
    *(real(name, meaning) for name, meaning in PAIR_INTEREST.items()),
)  # fmt: skip

# --- what is known from engagement ----------------------------------------------------------

pin_pair_engagement = _table(
    "pin_pair_engagement", "One row per day, query pin and candidate pin that were shown together "
                           "that day.",
    day_key("UTC day of the requests"),
    key("query_pin_id", "pin the page was about"),
    key("candidate_pin_id", "pin that was shown"),
    count("n_impressions", "times shown"),
    *(count(f"n_{a}", f"impressions with a {a}") for a in ACTIONS),
    *(real(f"expected_{a}", f"impressions with a {a} that pins shown at the same positions and "
                            "platforms had on average that day") for a in ACTIONS),
    sa.Index("pin_pair_engagement_by_candidate", "candidate_pin_id", "date"),
)  # fmt: skip

engagement_features = _table(
    "engagement_features", "One row per date, query pin and candidate pin, for pairs shown that "
                           "date and for all candidates on a ranking date: what engagement before "
                           "the date says.",
    day_key("day before which the engagement happened"),
    key("query_pin_id", "pin the page is about"),
    key("candidate_pin_id", "pin that may be shown"),
    *(real(name, meaning) for name, meaning in ENGAGEMENT_FEATURES.items()),
)  # fmt: skip

# --- what is ranked, and what it is worth ---------------------------------------------------

models = _table(
    "models", "One row per date and arm: the ranker that was trained.",
    day_key("date of the run"),
    key("arm", "arm"),
    text("feature_version", "version of the visual features"),
    text("model_version", "hash of the model file"),
    text(
        "path",
        "model file (LightGBM text; JSON of a linear ranker), relative to the home folder",
    ),
    text("columns", "feature columns the arm may see, as a JSON list"),
    day("train_from", "first day of training rows"),
    day("train_to", "last day of training rows"),
    count("n_rows", "training rows"),
    count("n_requests", "requests among the training rows"),
    whole("seed", "random seed"),
)  # fmt: skip

feature_importances = _table(
    "feature_importances", "One row per date, arm and feature.",
    day_key("date of the run"),
    key("arm", "arm"),
    key("feature", "feature column"),
    real(
        "gain_share",
        "share of the model's total split gain; in a linear ranker, of the sum of weight times "
        "spread; 0 to 1",
    ),
    count("n_splits", "splits on the feature; 0 in a linear ranker"),
)  # fmt: skip

ranking_metrics = _table(
    "ranking_metrics", "One row per date, arm and ranking metric on the held-out requests.",
    day_key("date of the run"),
    key("arm", "arm"),
    key("metric", "ndcg@10, mrr or hit_rate@10"),
    real("value", "mean over requests, 0 to 1"),
    count("n_requests", "held-out requests with at least one relevant candidate"),
)  # fmt: skip

rankings = _table(
    "rankings", "One row per date, arm, query pin and candidate pin: the order that the arm would "
                "show.",
    day_key("date of the run"),
    key("arm", "arm"),
    key("query_pin_id", "pin the page is about"),
    key("candidate_pin_id", "pin that may be shown"),
    whole("rank", "place in the arm's order, from 1"),
    real("score", "score of the arm's ranker; only its order within a query pin means something"),
)  # fmt: skip


def _found(control: str) -> tuple[sa.Column[Any], ...]:
    """The columns of what an experiment found of an arm against a control."""
    return (
        key("arm", "treatment arm"),
        key("metric", "action counted per request (closeup, click, long_click, save or hide), or "
                      "what is known of the arm's page (diversity or new_pin_share)"),
        key("segment", "all, or <dimension>=<value>"),
        key("estimator", "snips_item_position or snips_position_based; arm_page where nothing has "
                         "to be estimated"),
        count("n_requests", "random-order requests in the held-out window"),
        count("n_users", "users among them"),
        real("effective_sample_size", "impressions the treatment's weights are worth (Kish)"),
        real("control", f"value of {control}, per request"),
        real("treatment", "value of the arm, per request"),
        real("lift", "treatment over control, minus 1"),
        real("ci_low", "lower end of the 95 % interval of lift"),
        real("ci_high", "upper end of the 95 % interval of lift"),
        real("p_value", "two-sided p-value of no lift"),
        real("standard_error",
             "standard error of lift by the delta method, the check of the interval"),
    )  # fmt: skip


def _checked() -> tuple[sa.Column[Any], ...]:
    """The columns of a check of whether a verdict can be trusted."""
    return (
        key("name", "name of the check"),
        whole("passed", "1 if passed, else 0"),
        real("value", "what was measured"),
        text("expected", "what would pass"),
        text("detail", "one sentence"),
    )


experiment_lift = _table(
    "experiment_lift", "One row per date, arm, metric, segment and estimator: the arm against "
                       "whole_image.",
    day_key("date of the run; the held-out window ends on it"),
    *_found("whole_image"),
)  # fmt: skip

arm_daily_engagement = _table(
    "arm_daily_engagement", "One row per date of the run, arm, held-out day and metric.",
    day_key("date of the run"),
    key("arm", "arm"),
    key("day", "held-out UTC day", sa.Date()),
    key("metric", "action counted per request"),
    count("n_requests", "random-order requests of the day"),
    real("value", "actions per request, by snips_position_based"),
    real("lift", "value over that of whole_image, minus 1"),
)  # fmt: skip

experiment_checks = _table(
    "experiment_checks", "One row per date and check of whether the verdict can be trusted.",
    day_key("date of the run"),
    *_checked(),
)  # fmt: skip

traffic_metrics = _table(
    "traffic_metrics", "One row per date of the run, policy and metric: the held-out traffic as it "
                       "was shown.",
    day_key("date of the run; the held-out window ends on it"),
    key("policy", "production or random"),
    key("metric", "save, click, long_click, closeup, hide, diversity, new_pin_share (per request) "
                  "or save_propensity (users who saved / users who saw)"),
    real("value", "numerator over denominator"),
    real("ci_low", "lower end of its 95 % interval, clustered by user"),
    real("ci_high", "upper end of its 95 % interval, clustered by user"),
    count("n_requests", "requests of the policy in the window"),
    count("n_users", "users among them"),
)  # fmt: skip

experiment_runs = _table(
    "experiment_runs", "One row per run of a plan; rows are only ever added.",
    key("run_id", "run: a hash of plan, code and inputs, so the same run is there once"),
    text("name", "name of the plan"),
    day(comment="last held-out day"),
    text("plan", "the plan, as JSON"),
    text("feature_version", "version of the visual features"),
    text("code_version", "hash of the code that made the numbers"),
    text("decision", "ship, hold or more data"),
    text("sentence", "the verdict in one sentence"),
    time("made_at", "when it was run, UTC"),
    sa.Index("experiment_runs_by_date", "date"),
)  # fmt: skip

experiment_results = _table(
    "experiment_results", "One row per run, arm, metric, segment and estimator: what a run of a "
                          "plan found.",
    key("run_id", "run"),
    *_found("the plan's control"),
)  # fmt: skip

experiment_run_checks = _table(
    "experiment_run_checks", "One row per run and check of whether its verdict can be trusted.",
    key("run_id", "run"),
    *_checked(),
)  # fmt: skip
