"""Runs of plans are kept, the traffic is measured as it was, and lifts have a second error."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("experiment_lift", sa.Column("standard_error", sa.Double(), nullable=True))
    op.create_table(
        "traffic_metrics",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("ci_low", sa.Double(), nullable=True),
        sa.Column("ci_high", sa.Double(), nullable=True),
        sa.Column("n_requests", sa.BigInteger(), nullable=True),
        sa.Column("n_users", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("date", "policy", "metric"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "experiment_runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("date", sa.Date(), nullable=True),
        sa.Column("plan", sa.Text(), nullable=True),
        sa.Column("feature_version", sa.Text(), nullable=True),
        sa.Column("code_version", sa.Text(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("sentence", sa.Text(), nullable=True),
        sa.Column("made_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_index("experiment_runs_by_date", "experiment_runs", ["date"])
    op.create_table(
        "experiment_results",
        sa.Column("run_id", sa.Text(), nullable=False),
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
        sa.Column("standard_error", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "arm", "metric", "segment", "estimator"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "experiment_run_checks",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("expected", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "name"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("experiment_run_checks")
    op.drop_table("experiment_results")
    op.drop_table("experiment_runs")
    op.drop_table("traffic_metrics")
    op.drop_column("experiment_lift", "standard_error")
