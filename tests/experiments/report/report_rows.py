"""A small database to report on: drawn pins, hostile texts, and plausible numbers."""

import atexit
import datetime as dt
import functools
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from experiments.arms import AA, ARMS, PRIMARY
from experiments.report.page import write_report
from experiments.world.scenes import DrawnObject, draw_outfit, draw_product, random_appearance
from sql import tables
from sql.database import Database, open_database

DATE = dt.date(2026, 11, 15)
FIRST = dt.date(2026, 11, 12)
VERSION = "0123456789ab"
HOSTILE = "<script>alert(1)</script>"
TITLES = (
    HOSTILE,
    '"><img src="https://example.org/x.png" onerror="alert(2)">',
    "{{ 7 * 7 }} {% raise %} $\\frac{1}{2}$",
    "a title that goes on and on " * 40,
    "straße 👜 高さ بسم الله\x00\x1b[31m",
)
LIFTS = {
    "object_crop": -0.034, "object_crop_padded": 0.006, "presence": 0.014,
    PRIMARY: 0.042, "oracle": 0.061, AA: 0.002,
}  # fmt: skip
SEGMENTS = {
    "all": 1.0, "query_has_object=yes": 0.84, "query_has_object=no": 0.16, "platform=web": 0.4,
    "platform=ios": 0.35, f"platform={HOSTILE}": 0.25, "category=dress": 0.3, "category=bag": 0.2,
    "category=other": 0.34,
}  # fmt: skip
Rows = list[dict[str, Any]]


def add(database: Database, table: str, rows: Rows) -> None:
    names = {name for row in rows for name in row}
    schema = [c.name for c in tables.METADATA.tables[table].columns if c.name in names]
    columns = {name: [row.get(name) for row in rows] for name in schema}
    database.append(tables.METADATA.tables[table], pa.table(columns))


def draw_pins(source: Path, n_queries: int, n_candidates: int) -> dict[str, list[DrawnObject]]:
    """Draws photos/<pin>.jpg; what is on them."""
    rng = np.random.default_rng(7)
    (source / "photos").mkdir(parents=True)
    drawn = {}
    for number in range(n_queries + n_candidates):
        query = number < n_queries
        looks = [random_appearance(c, rng) for c in ("top", "pants", "shoes", "bag")]
        scene = draw_outfit(looks, rng) if query else draw_product(looks[number % 4], rng)
        name = f"{'q' if query else 'c'}{number:02}"
        scene.image.save(source / "photos" / f"{name}.jpg", quality=85)
        drawn[name] = list(scene.objects)
    return drawn


def add_pins(database: Database, pins: Sequence[str]) -> None:
    plain = ("street style", "canvas tote bag", "running shoes", "linen dress")
    add(database, "pins", [
        {"pin_id": pin, "image": f"photos/{pin}.jpg", "board": HOSTILE,
         "title": TITLES[n % 2] if n < 2 else TITLES[n % 5] if n % 4 == 0 else plain[n % 4]}
        for n, pin in enumerate(pins)
    ])  # fmt: skip


def add_objects(
    database: Database, objects: Mapping[str, Sequence[tuple[str, Sequence[float]]]]
) -> None:
    """objects: pin -> (category, xyxy box) of its objects; the first is the dominant one."""
    add(database, "pin_visuals", [
        {"feature_version": VERSION, "pin_id": pin, "n_objects": len(found), "width": 400,
         "height": 600, "dominant_category": found[0][0] if found else None}
        for pin, found in objects.items()
    ])  # fmt: skip
    add(database, "pin_objects", [
        {"feature_version": VERSION, "pin_id": pin, "object_no": n, "category": category,
         "score": 0.95 - 0.11 * n, "is_dominant": int(n == 0),
         **dict(zip(("x1", "y1", "x2", "y2"), map(float, box), strict=True))}
        for pin, found in objects.items() for n, (category, box) in enumerate(found)
    ])  # fmt: skip


def add_log(
    database: Database, objects: Mapping[str, Sequence[Any]], queries: Sequence[str]
) -> None:
    rng = np.random.default_rng(3)
    add(database, "requests", [
        {"request_id": f"r{n}", "date": FIRST - dt.timedelta(days=n % 9), "user_id": f"u{n % 37}",
         "query_pin_id": queries[min(n % 7, n % len(queries))], "policy": "random",
         "platform": "web"}
        for n in range(400)
    ])  # fmt: skip
    crops: Rows = []
    for pin in queries:
        boxes = np.array([box for _, box in objects[pin]], float)
        for _ in range(int(rng.integers(30, 90)) if len(boxes) else 0):
            box = boxes[min(int(rng.exponential(0.7)), len(boxes) - 1)] + rng.normal(0, 6, 4)
            crops.append({
                "crop_id": f"k{len(crops):05}", "date": dt.date(2026, 11, 5), "pin_id": pin,
                "user_id": f"u{rng.integers(50)}",
                **dict(zip(("x1", "y1", "x2", "y2"), box.tolist(), strict=True)),
            })  # fmt: skip
    add(database, "crops", crops)
    add(database, "object_interest", [
        {"feature_version": VERSION, "date": FIRST, "pin_id": pin, "object_no": n,
         "n_croppers": 9 - n, "interest": 0.5 / 2**n}
        for pin in queries for n in range(len(objects[pin]))
    ])  # fmt: skip


def add_rankings(
    database: Database, objects: Mapping[str, Sequence[Any]], queries: Sequence[str],
    candidates: Sequence[str],
) -> None:  # fmt: skip
    rng = np.random.default_rng(5)
    ranked: Rows = []
    pairs: Rows = []
    for query in queries:
        for arm in ARMS:
            ranked += [
                {"date": DATE, "arm": arm, "query_pin_id": query, "candidate_pin_id": pin,
                 "rank": place, "score": -place / 10}
                for place, pin in enumerate(rng.permutation(candidates).tolist(), start=1)
            ]  # fmt: skip
        held = {category for category, _ in objects[query]}
        for pin in candidates:
            shared = sorted(held & {category for category, _ in objects[pin]})
            pairs.append({
                "feature_version": VERSION, "query_pin_id": query, "candidate_pin_id": pin,
                "whole_cosine": 0.5,
                **{f"{c}_cosine": float(rng.uniform(0.3, 0.9)) for c in shared},
            })  # fmt: skip
    add(database, "rankings", ranked)
    add(database, "pair_features", pairs)
    add(database, "candidates", [
        {"query_pin_id": q, "candidate_pin_id": c, "source": "visual"}
        for q in queries for c in candidates
    ])  # fmt: skip
    add(database, "models", [
        {"date": DATE, "arm": name, "feature_version": VERSION, "model_version": f"{n:02}cafe",
         "columns": '["source", "whole_cosine"]', "train_from": dt.date(2026, 11, 2),
         "train_to": dt.date(2026, 11, 11), "n_rows": 1000, "n_requests": 90, "seed": 0}
        for n, name in enumerate(ARMS)
    ])  # fmt: skip
    features = ["crop_cosine", "interest_cosine", "bag_cosine", "pair_click_ratio", "source"]
    add(database, "feature_importances", [
        {"date": DATE, "arm": PRIMARY, "feature": name, "gain_share": 0.4 / 1.6**n, "n_splits": 90}
        for n, name in enumerate(features)
    ])  # fmt: skip
    add(database, "ranking_metrics", [
        {"date": DATE, "arm": arm, "metric": metric, "value": base + n / 200, "n_requests": 812}
        for n, arm in enumerate(ARMS)
        for metric, base in (("ndcg@10", 0.41), ("mrr", 0.36), ("hit_rate@10", 0.71))
    ])  # fmt: skip


def add_experiment(database: Database) -> None:
    rng = np.random.default_rng(11)
    rows: Rows = []
    days: Rows = []
    bases = dict(zip(tables.ACTIONS, (0.52, 0.21, 0.07, 0.13, 0.02), strict=True))
    for arm, lift in LIFTS.items():
        for metric, base in bases.items():
            for segment, share in SEGMENTS.items():
                for estimator, spread in (("snips_position_based", 0.008),
                                          ("snips_item_position", 0.035)):  # fmt: skip
                    width = spread * (0.13 / base) ** 0.5 / share**0.5
                    found = lift + float(rng.normal(0, width / 2)) * (segment != "all")
                    rows.append({
                        "date": DATE, "arm": arm, "metric": metric, "segment": segment,
                        "estimator": estimator, "n_requests": int(16_204 * share),
                        "n_users": int(6_120 * share), "control": base,
                        "effective_sample_size": 21_000.0 * share, "treatment": base * (1 + found),
                        "lift": found, "ci_low": found - 2 * width, "ci_high": found + 2 * width,
                        "p_value": 0.001 if abs(found) > 2 * width else 0.4,
                    })  # fmt: skip
            days += [
                {"date": DATE, "arm": arm, "day": FIRST + dt.timedelta(days=n), "metric": metric,
                 "n_requests": 4_000, "value": base, "lift": lift + float(rng.normal(0, 0.012))}
                for n in range(4)
            ]  # fmt: skip
    rows += [
        {"date": DATE, "arm": arm, "metric": metric, "segment": "all", "estimator": "arm_page",
         "n_requests": 16_204, "n_users": 6_120, "control": base, "lift": -lift,
         "effective_sample_size": 16_204.0, "treatment": base * (1 - lift), "ci_low": -lift - 0.01,
         "ci_high": -lift + 0.01, "p_value": 0.01}
        for arm, lift in LIFTS.items() for metric, base in (("diversity", 0.55),
                                                            ("new_pin_share", 0.03))
    ]  # fmt: skip
    add(database, "experiment_lift", rows)
    add(database, "traffic_metrics", [
        {"date": DATE, "policy": policy, "metric": metric, "value": value * n,
         "ci_low": value * n - 0.01, "ci_high": value * n + 0.01, "n_requests": 90_000 // n,
         "n_users": 7_000 // n}
        for n, policy in enumerate(("production", "random"), start=1)
        for metric, value in (("save", 0.1312), ("save_propensity", 0.4213), ("hide", 0.0123))
    ])  # fmt: skip
    add(database, "arm_daily_engagement", days)
    add(database, "experiment_checks", [
        {"date": DATE, "name": name, "passed": passed, "value": value, "expected": expected,
         "detail": detail}
        for name, passed, value, expected, detail in (
            ("sample_ratio_by_day", 1, 0.41, "p >= 0.001", "Random order: 9.9% to 10.1%."),
            ("a_a", 1, 0.62, "adjusted p >= 0.05", "The control against itself."),
            ("random_requests", 1, 16204.0, "> 0", f"Requests of {HOSTILE} users."),
            ("overlap_top_share", 1, 0.073, "<= 10 % of the weight", "The heaviest carry 7.3%."),
            ("overlap_effective_size", 0, 812.0, ">= 1,000 impressions", "Few impressions decide."),
        )
    ])  # fmt: skip
    add(database, "quarantine", [
        {"source_table": table, "row_key": str(n), "reason": reason, "date": DATE}
        for table, reason, times in (("impressions", "repeated", 40), ("crops", "orphan", 7),
                                     ("image", f"The image cannot be decoded ({HOSTILE}).", 2))
        for n in range(times)
    ])  # fmt: skip


def fill(database: Database, source: Path) -> None:
    """Six query pins, fourteen candidates, one photo missing, everything that a report reads."""
    drawn = draw_pins(source, 6, 14)
    objects = {pin: [(o.appearance.category, o.box) for o in found] for pin, found in drawn.items()}
    objects["q05"] = []
    (source / "photos" / "c07.jpg").unlink()
    Image.new("RGB", (90, 1300), "teal").save(source / "photos" / "c08.jpg")
    queries, candidates = ([p for p in objects if p.startswith(kind)] for kind in "qc")
    add_pins(database, list(objects))
    add_objects(database, objects)
    add_log(database, objects, queries)
    add_rankings(database, objects, queries, candidates)
    add_experiment(database)


@functools.cache
def reported() -> Path:
    """A home with a filled database, source/ with its photos, and its report; made only once."""
    home = Path(tempfile.mkdtemp(prefix="related_pins_report_"))
    atexit.register(shutil.rmtree, home)
    database = open_database(home / "related_pins.db")
    database.upgrade()
    fill(database, home / "source")
    write_report(database, home / "source", home, DATE)
    database.engine.dispose()
    return home
