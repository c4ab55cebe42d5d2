"""The tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "arm_daily_engagement",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("n_requests", sa.BigInteger(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("lift", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("date", "arm", "day", "metric"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "candidates",
        sa.Column("query_pin_id", sa.Text(), nullable=False),
        sa.Column("candidate_pin_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("query_pin_id", "candidate_pin_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "crops",
        sa.Column("crop_id", sa.Text(), nullable=False),
        sa.Column("date", sa.Date(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("pin_id", sa.Text(), nullable=True),
        sa.Column("x1", sa.Double(), nullable=True),
        sa.Column("y1", sa.Double(), nullable=True),
        sa.Column("x2", sa.Double(), nullable=True),
        sa.Column("y2", sa.Double(), nullable=True),
        sa.Column("cropped_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("crop_id"),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("crops", schema=None) as batch_op:
        batch_op.create_index("crops_by_pin", ["pin_id", "date"], unique=False)

    op.create_table(
        "engagement_features",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("query_pin_id", sa.Text(), nullable=False),
        sa.Column("candidate_pin_id", sa.Text(), nullable=False),
        sa.Column("pair_n_impressions", sa.Double(), nullable=True),
        sa.Column("pair_click_ratio", sa.Double(), nullable=True),
        sa.Column("pair_save_ratio", sa.Double(), nullable=True),
        sa.Column("candidate_n_impressions", sa.Double(), nullable=True),
        sa.Column("candidate_click_ratio", sa.Double(), nullable=True),
        sa.Column("candidate_save_ratio", sa.Double(), nullable=True),
        sa.Column("candidate_hide_ratio", sa.Double(), nullable=True),
        sa.Column("candidate_age_days", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("date", "query_pin_id", "candidate_pin_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "engagements",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("candidate_pin_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("date", sa.Date(), nullable=True),
        sa.Column("engaged_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("request_id", "candidate_pin_id", "action"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("engagements", schema=None) as batch_op:
        batch_op.create_index("engagements_by_date", ["date"], unique=False)

    op.create_table(
        "experiment_checks",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("expected", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("date", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "experiment_lift",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("estimator", sa.Text(), nullable=False),
        sa.Column("n_requests", sa.BigInteger(), nullable=True),
        sa.Column("n_users", sa.BigInteger(), nullable=True),
        sa.Column("effective_sample_size", sa.Double(), nullable=True),
        sa.Column("control", sa.Double(), nullable=True),
        sa.Column("treatment", sa.Double(), nullable=True),
        sa.Column("lift", sa.Double(), nullable=True),
        sa.Column("ci_low", sa.Double(), nullable=True),
        sa.Column("ci_high", sa.Double(), nullable=True),
        sa.Column("p_value", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("date", "arm", "metric", "segment", "estimator"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "feature_importances",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("gain_share", sa.Double(), nullable=True),
        sa.Column("n_splits", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("date", "arm", "feature"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "impressions",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("candidate_pin_id", sa.Text(), nullable=False),
        sa.Column("date", sa.Date(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("propensity", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("request_id", "candidate_pin_id"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("impressions", schema=None) as batch_op:
        batch_op.create_index("impressions_by_date", ["date"], unique=False)

    op.create_table(
        "manifest",
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("piece", sa.Text(), nullable=False),
        sa.Column("feature_version", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("n_rows", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("step", "piece"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "models",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("feature_version", sa.Text(), nullable=True),
        sa.Column("model_version", sa.Text(), nullable=True),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("columns", sa.Text(), nullable=True),
        sa.Column("train_from", sa.Date(), nullable=True),
        sa.Column("train_to", sa.Date(), nullable=True),
        sa.Column("n_rows", sa.BigInteger(), nullable=True),
        sa.Column("n_requests", sa.BigInteger(), nullable=True),
        sa.Column("seed", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("date", "arm"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "object_interest",
        sa.Column("feature_version", sa.Text(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("pin_id", sa.Text(), nullable=False),
        sa.Column("object_no", sa.Integer(), nullable=False),
        sa.Column("n_croppers", sa.BigInteger(), nullable=True),
        sa.Column("interest", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("feature_version", "date", "pin_id", "object_no"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pair_features",
        sa.Column("feature_version", sa.Text(), nullable=False),
        sa.Column("query_pin_id", sa.Text(), nullable=False),
        sa.Column("candidate_pin_id", sa.Text(), nullable=False),
        sa.Column("whole_cosine", sa.Double(), nullable=True),
        sa.Column("crop_cosine", sa.Double(), nullable=True),
        sa.Column("padded_crop_cosine", sa.Double(), nullable=True),
        sa.Column("query_has_object", sa.Double(), nullable=True),
        sa.Column("candidate_has_object", sa.Double(), nullable=True),
        sa.Column("both_have_object", sa.Double(), nullable=True),
        sa.Column("same_category", sa.Double(), nullable=True),
        sa.Column("n_shared_categories", sa.Double(), nullable=True),
        sa.Column("query_object_area", sa.Double(), nullable=True),
        sa.Column("candidate_object_area", sa.Double(), nullable=True),
        sa.Column("query_object_score", sa.Double(), nullable=True),
        sa.Column("candidate_object_score", sa.Double(), nullable=True),
        sa.Column("query_n_objects", sa.Double(), nullable=True),
        sa.Column("candidate_n_objects", sa.Double(), nullable=True),
        sa.Column("best_object_cosine", sa.Double(), nullable=True),
        sa.Column("mean_best_object_cosine", sa.Double(), nullable=True),
        sa.Column("dominant_to_any_cosine", sa.Double(), nullable=True),
        sa.Column("any_to_dominant_cosine", sa.Double(), nullable=True),
        sa.Column("same_category_cosine", sa.Double(), nullable=True),
        sa.Column("same_category_colour_distance", sa.Double(), nullable=True),
        sa.Column("dominant_colour_distance", sa.Double(), nullable=True),
        sa.Column("matched_colour_distance", sa.Double(), nullable=True),
        sa.Column("colour_match", sa.Double(), nullable=True),
        sa.Column("dress_cosine", sa.Double(), nullable=True),
        sa.Column("outerwear_cosine", sa.Double(), nullable=True),
        sa.Column("top_cosine", sa.Double(), nullable=True),
        sa.Column("pants_cosine", sa.Double(), nullable=True),
        sa.Column("shorts_cosine", sa.Double(), nullable=True),
        sa.Column("skirt_cosine", sa.Double(), nullable=True),
        sa.Column("shoes_cosine", sa.Double(), nullable=True),
        sa.Column("bag_cosine", sa.Double(), nullable=True),
        sa.Column("hat_cosine", sa.Double(), nullable=True),
        sa.Column("sunglasses_cosine", sa.Double(), nullable=True),
        sa.Column("belt_cosine", sa.Double(), nullable=True),
        sa.Column("scarf_cosine", sa.Double(), nullable=True),
        sa.Column("tie_cosine", sa.Double(), nullable=True),
        sa.Column("watch_cosine", sa.Double(), nullable=True),
        sa.Column("chair_cosine", sa.Double(), nullable=True),
        sa.Column("couch_cosine", sa.Double(), nullable=True),
        sa.Column("table_cosine", sa.Double(), nullable=True),
        sa.Column("lamp_cosine", sa.Double(), nullable=True),
        sa.Column("plant_cosine", sa.Double(), nullable=True),
        sa.Column("vase_cosine", sa.Double(), nullable=True),
        sa.Column("clock_cosine", sa.Double(), nullable=True),
        sa.Column("rug_cosine", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("feature_version", "query_pin_id", "candidate_pin_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pair_interest",
        sa.Column("feature_version", sa.Text(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("query_pin_id", sa.Text(), nullable=False),
        sa.Column("candidate_pin_id", sa.Text(), nullable=False),
        sa.Column("query_interest_max", sa.Double(), nullable=True),
        sa.Column("query_n_croppers", sa.Double(), nullable=True),
        sa.Column("interest_cosine", sa.Double(), nullable=True),
        sa.Column("interest_same_category", sa.Double(), nullable=True),
        sa.Column("interest_same_category_cosine", sa.Double(), nullable=True),
        sa.Column("interest_colour_distance", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("feature_version", "date", "query_pin_id", "candidate_pin_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pin_objects",
        sa.Column("feature_version", sa.Text(), nullable=False),
        sa.Column("pin_id", sa.Text(), nullable=False),
        sa.Column("object_no", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("x1", sa.Double(), nullable=True),
        sa.Column("y1", sa.Double(), nullable=True),
        sa.Column("x2", sa.Double(), nullable=True),
        sa.Column("y2", sa.Double(), nullable=True),
        sa.Column("area_share", sa.Double(), nullable=True),
        sa.Column("is_dominant", sa.Integer(), nullable=True),
        sa.Column("lab_l", sa.Double(), nullable=True),
        sa.Column("lab_a", sa.Double(), nullable=True),
        sa.Column("lab_b", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("feature_version", "pin_id", "object_no"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("pin_objects", schema=None) as batch_op:
        batch_op.create_index("pin_objects_by_category", ["category"], unique=False)
        batch_op.create_index("pin_objects_by_pin", ["pin_id"], unique=False)

    op.create_table(
        "pin_pair_engagement",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("query_pin_id", sa.Text(), nullable=False),
        sa.Column("candidate_pin_id", sa.Text(), nullable=False),
        sa.Column("n_impressions", sa.BigInteger(), nullable=True),
        sa.Column("n_closeup", sa.BigInteger(), nullable=True),
        sa.Column("n_click", sa.BigInteger(), nullable=True),
        sa.Column("n_long_click", sa.BigInteger(), nullable=True),
        sa.Column("n_save", sa.BigInteger(), nullable=True),
        sa.Column("n_hide", sa.BigInteger(), nullable=True),
        sa.Column("expected_closeup", sa.Double(), nullable=True),
        sa.Column("expected_click", sa.Double(), nullable=True),
        sa.Column("expected_long_click", sa.Double(), nullable=True),
        sa.Column("expected_save", sa.Double(), nullable=True),
        sa.Column("expected_hide", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("date", "query_pin_id", "candidate_pin_id"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("pin_pair_engagement", schema=None) as batch_op:
        batch_op.create_index(
            "pin_pair_engagement_by_candidate", ["candidate_pin_id", "date"], unique=False
        )

    op.create_table(
        "pin_visuals",
        sa.Column("feature_version", sa.Text(), nullable=False),
        sa.Column("pin_id", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("n_objects", sa.Integer(), nullable=True),
        sa.Column("dominant_category", sa.Text(), nullable=True),
        sa.Column("shard", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("feature_version", "pin_id"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("pin_visuals", schema=None) as batch_op:
        batch_op.create_index("pin_visuals_by_pin", ["pin_id"], unique=False)

    op.create_table(
        "pins",
        sa.Column("pin_id", sa.Text(), nullable=False),
        sa.Column("image", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("board", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("pin_id"),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "quarantine",
        sa.Column("source_table", sa.Text(), nullable=False),
        sa.Column("row_key", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("row_json", sa.Text(), nullable=True),
        sa.Column("date", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("source_table", "row_key", "reason"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ranking_metrics",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("n_requests", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("date", "arm", "metric"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rankings",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("query_pin_id", sa.Text(), nullable=False),
        sa.Column("candidate_pin_id", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("date", "arm", "query_pin_id", "candidate_pin_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "requests",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("date", sa.Date(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("query_pin_id", sa.Text(), nullable=True),
        sa.Column("requested_at", sa.DateTime(), nullable=True),
        sa.Column("policy", sa.Text(), nullable=True),
        sa.Column("platform", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("request_id"),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("requests", schema=None) as batch_op:
        batch_op.create_index("requests_by_date", ["date"], unique=False)

    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("command", sa.Text(), nullable=True),
        sa.Column("date", sa.Date(), nullable=True),
        sa.Column("code_version", sa.Text(), nullable=True),
        sa.Column("feature_version", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(), nullable=True),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run_id"),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "true_boxes",
        sa.Column("pin_id", sa.Text(), nullable=False),
        sa.Column("box_no", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("x1", sa.Double(), nullable=True),
        sa.Column("y1", sa.Double(), nullable=True),
        sa.Column("x2", sa.Double(), nullable=True),
        sa.Column("y2", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("pin_id", "box_no"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("true_boxes")
    op.drop_table("runs")
    with op.batch_alter_table("requests", schema=None) as batch_op:
        batch_op.drop_index("requests_by_date")

    op.drop_table("requests")
    op.drop_table("rankings")
    op.drop_table("ranking_metrics")
    op.drop_table("quarantine")
    op.drop_table("pins")
    with op.batch_alter_table("pin_visuals", schema=None) as batch_op:
        batch_op.drop_index("pin_visuals_by_pin")

    op.drop_table("pin_visuals")
    with op.batch_alter_table("pin_pair_engagement", schema=None) as batch_op:
        batch_op.drop_index("pin_pair_engagement_by_candidate")

    op.drop_table("pin_pair_engagement")
    with op.batch_alter_table("pin_objects", schema=None) as batch_op:
        batch_op.drop_index("pin_objects_by_pin")
        batch_op.drop_index("pin_objects_by_category")

    op.drop_table("pin_objects")
    op.drop_table("pair_interest")
    op.drop_table("pair_features")
    op.drop_table("object_interest")
    op.drop_table("models")
    op.drop_table("manifest")
    with op.batch_alter_table("impressions", schema=None) as batch_op:
        batch_op.drop_index("impressions_by_date")

    op.drop_table("impressions")
    op.drop_table("feature_importances")
    op.drop_table("experiment_lift")
    op.drop_table("experiment_checks")
    with op.batch_alter_table("engagements", schema=None) as batch_op:
        batch_op.drop_index("engagements_by_date")

    op.drop_table("engagements")
    op.drop_table("engagement_features")
    with op.batch_alter_table("crops", schema=None) as batch_op:
        batch_op.drop_index("crops_by_pin")

    op.drop_table("crops")
    op.drop_table("candidates")
    op.drop_table("arm_daily_engagement")
