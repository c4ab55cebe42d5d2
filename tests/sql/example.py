"""A small database of known rows, on which the analysts' questions have exact answers."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa

from sql import tables
from sql.database import Database
from sql.ingest import IngestSummary, ingest
from sql.tables import PAIR_FEATURES

VERSION = "3f9a2c41"
DAY = date(2026, 11, 3)

FILES = {
    "pins": """\
pin_id,image,title,board,created_at
q1,photos/q1.jpg,street style,outfits,2026-10-01T08:00:00Z
q2,photos/q2.jpg,autumn look,outfits,2026-10-02T08:00:00Z
p1,photos/p1.jpg,leather bag,bags,2026-10-03T08:00:00Z
p2,photos/p2.jpg,red boots,shoes,2026-10-04T08:00:00Z
p3,photos/p3.jpg,wool coat,coats,2026-10-05T08:00:00Z
p4,photos/p4.jpg,silk scarf,,2026-11-04T08:00:00Z
""",
    "requests": """\
request_id,user_id,query_pin_id,requested_at,policy,platform
r1,u1,q1,2026-11-02T10:00:00Z,production,ios
r2,u2,q1,2026-11-02T11:00:00Z,random,web
r3,u1,q2,2026-11-03T09:00:00Z,production,ios
r4,u3,q2,2026-11-03T23:30:00Z,random,web
r5,u4,q2,2026-11-03T12:00:00Z,sponsored,web
r6,u4,q1,2026-11-04T00:00:00Z,production,ios
""",
    "impressions": """\
request_id,candidate_pin_id,position,propensity
r1,p1,1,
r1,p2,2,
r1,p3,3,
r2,p3,1,0.333333
r2,p1,2,0.333333
r2,p2,3,0.333333
r3,p2,1,
r3,p1,2,
r3,p1,3,
r4,p1,1,0.5
r4,p3,2,0.5
r4,p2,2,0.5
r6,p1,1,
r9,p1,1,
""",
    "engagements": """\
request_id,candidate_pin_id,action,engaged_at
r1,p1,closeup,2026-11-02T10:00:20Z
r1,p1,save,2026-11-02T10:01:00Z
r1,p1,save,2026-11-02T10:02:00Z
r1,p3,hide,2026-11-02T10:01:30Z
r2,p1,click,2026-11-02T11:00:30Z
r2,p1,save,2026-11-02T11:01:30Z
r2,p4,save,2026-11-02T11:01:30Z
r3,p2,click,2026-11-03T09:00:30Z
r3,p2,long_click,2026-11-03T09:01:30Z
r4,p3,closeup,2026-11-03T23:59:00Z
r4,p1,closeup,2026-11-04T00:00:30Z
r3,p1,save,2026-11-03T08:00:00Z
r1,p2,click,2026-11-03T10:00:01Z
r1,p2,closeup,yesterday
""",
    "candidates": """\
query_pin_id,candidate_pin_id,source
q1,p1,board
q1,p2,popular
q1,p3,visual
q1,p4,visual
q2,p1,popular
q2,p2,board
q2,p9,board
""",
    "crops": """\
crop_id,user_id,pin_id,x1,y1,x2,y2,cropped_at
c1,u1,q1,100,300,220,420,2026-11-02T10:00:10Z
c2,u2,q1,105,310,230,430,2026-11-02T11:00:10Z
c3,u3,q1,230,310,105,430,2026-11-02T12:00:00Z
""",
}


def fill(database: Database, folder: Path) -> IngestSummary:
    """Ingest the files above as known at the end of DAY, and add what the other steps write."""
    for name, text in FILES.items():
        (folder / f"{name}.csv").write_text(text)
    summary = ingest(database, folder, DAY)
    add_pixels(database)
    add_engagement(database)
    add_experiment(database)
    return summary


def write(database: Database, table: sa.Table, columns: str, *rows: tuple[object, ...]) -> None:
    named = [dict(zip(columns.split(), row, strict=True)) for row in rows]
    database.replace(table, pa.Table.from_pylist(named))


def add_pixels(database: Database) -> None:
    write(
        database, tables.pin_visuals,
        "feature_version pin_id content_hash width height n_objects dominant_category shard",
        (VERSION, "q1", "a1", 400, 600, 2, "top", "00"),
        (VERSION, "q2", "a2", 400, 600, 0, None, "00"),
        (VERSION, "p1", "a3", 300, 300, 1, "bag", "00"),
        (VERSION, "p2", "a4", 300, 300, 1, "shoes", "00"),
    )  # fmt: skip
    write(
        database, tables.pin_objects,
        "feature_version pin_id object_no category score x1 y1 x2 y2 area_share is_dominant",
        (VERSION, "q1", 0, "top", 0.98, 90.0, 100.0, 310.0, 330.0, 0.211, 1),
        (VERSION, "q1", 1, "bag", 0.75, 100.0, 300.0, 230.0, 430.0, 0.0704, 0),
        (VERSION, "p1", 0, "bag", 0.99, 20.0, 30.0, 280.0, 270.0, 0.693, 1),
        (VERSION, "p2", 0, "shoes", 0.96, 10.0, 60.0, 290.0, 240.0, 0.56, 1),
    )  # fmt: skip
    write(
        database, tables.object_interest,
        "feature_version date pin_id object_no n_croppers interest",
        (VERSION, DAY, "q1", 0, 0, 0.125),
        (VERSION, DAY, "q1", 1, 2, 0.875),
    )  # fmt: skip
    pairs = [
        pair("q1", "p1", 0.31, 0.22, same_category=0, shared=1, bag=0.86),
        pair("q1", "p2", 0.42, 0.35, same_category=0, shared=0),
        pair("q2", "p1", 0.18, 0.25, same_category=0, shared=0),
        pair("q2", "p2", 0.55, 0.47, same_category=0, shared=0),
    ]
    database.replace(tables.pair_features, pa.Table.from_pylist(pairs))


def pair(
    query: str, candidate: str, whole: float, crop: float, *, same_category: int, shared: int,
    bag: float | None = None,
) -> dict[str, object]:  # fmt: skip
    both = int(query == "q1")
    return dict.fromkeys(PAIR_FEATURES) | {
        "feature_version": VERSION, "query_pin_id": query, "candidate_pin_id": candidate,
        "whole_cosine": whole, "crop_cosine": crop, "query_has_object": both,
        "candidate_has_object": 1, "both_have_object": both, "same_category": same_category,
        "n_shared_categories": shared, "bag_cosine": bag,
    }  # fmt: skip


def add_engagement(database: Database) -> None:
    first = date(2026, 11, 2)
    write(
        database, tables.pin_pair_engagement,
        "date query_pin_id candidate_pin_id n_impressions n_save expected_save",
        (first, "q1", "p1", 2, 2, 0.75),
        (first, "q1", "p2", 2, 0, 0.5),
        (first, "q1", "p3", 2, 0, 0.75),
        (DAY, "q2", "p1", 2, 0, 0.25),
        (DAY, "q2", "p2", 1, 0, 0.25),
    )  # fmt: skip
    write(
        database, tables.engagement_features,
        "date query_pin_id candidate_pin_id pair_n_impressions pair_save_ratio",
        (DAY, "q2", "p1", 0.0, 1.0),
    )  # fmt: skip


def add_experiment(database: Database) -> None:
    write(
        database, tables.rankings,
        "date arm query_pin_id candidate_pin_id rank score",
        (DAY, "whole_image", "q1", "p2", 1, 0.9), (DAY, "whole_image", "q1", "p3", 2, 0.5),
        (DAY, "whole_image", "q1", "p1", 3, 0.4), (DAY, "whole_image", "q2", "p2", 1, 0.9),
        (DAY, "whole_image", "q2", "p1", 2, 0.1), (DAY, "targeted", "q1", "p1", 1, 1.4),
        (DAY, "targeted", "q1", "p2", 2, 0.8), (DAY, "targeted", "q1", "p3", 3, 0.2),
        (DAY, "targeted", "q2", "p2", 1, 0.7), (DAY, "targeted", "q2", "p1", 2, 0.3),
    )  # fmt: skip
    columns = (
        "date arm metric segment estimator n_requests n_users effective_sample_size control "
        "treatment lift ci_low ci_high p_value"
    )
    estimator = "snips_position_based"
    write(
        database, tables.experiment_lift, columns,
        (DAY, "targeted", "save", "all", estimator, 2, 2, 5.1, 0.5, 0.6, 0.2, 0.05, 0.35, 0.01),
        (DAY, "targeted", "hide", "all", estimator, 2, 2, 5.1, 0.1, 0.1, 0.0, -0.3, 0.3, 0.99),
        (DAY, "object_crop", "save", "all", estimator, 2, 2, 4.2, 0.5, 0.45, -0.1, -0.3, 0.1, 0.3),
        (DAY, "targeted", "save", "query_has_object=yes", estimator,
         1, 1, 2.5, 0.5, 0.7, 0.4, 0.1, 0.7, 0.02),
        (DAY, "targeted", "save", "query_has_object=no", estimator,
         1, 1, 2.6, 0.5, 0.5, 0.0, -0.2, 0.2, 0.97),
    )  # fmt: skip
