"""On PostgreSQL, impressions, pair_features and pair_interest are partitioned."""

import sqlalchemy as sa
from alembic import op

from sql.partitions import SCHEMA, attach_missing

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = {
    "impressions": ("LIST (date)", "request_id, candidate_pin_id, date", ("date",)),
    "pair_features": (
        "LIST (feature_version)",
        "feature_version, query_pin_id, candidate_pin_id",
        ("feature_version",),
    ),
    "pair_interest": (
        "RANGE (feature_version, date)",
        "feature_version, date, query_pin_id, candidate_pin_id",
        ("feature_version", "date"),
    ),
}


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    for table, (partition_by, key, columns) in TABLES.items():
        _set_aside(table)
        op.execute(
            f"CREATE TABLE {table} (LIKE before, CONSTRAINT {table}_pkey PRIMARY KEY ({key})) "
            f"PARTITION BY {partition_by}"
        )
        keys = op.get_bind().execute(sa.text(f"SELECT DISTINCT {', '.join(columns)} FROM before"))
        attach_missing(op.get_bind(), table, [tuple(row) for row in keys])
        _take_over(table)


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, (_, key, _) in TABLES.items():
        _set_aside(table)
        key = key.removesuffix(", date") if table == "impressions" else key
        op.execute(
            f"CREATE TABLE {table} (LIKE before, CONSTRAINT {table}_pkey PRIMARY KEY ({key}))"
        )
        _take_over(table)
    op.execute("ALTER TABLE impressions ALTER COLUMN date DROP NOT NULL")
    op.create_index("impressions_by_date", "impressions", ["date"])
    op.execute(f"DROP SCHEMA {SCHEMA}")


def _set_aside(table: str) -> None:
    op.execute(f"ALTER TABLE {table} RENAME TO before")
    op.execute(f"ALTER TABLE before RENAME CONSTRAINT {table}_pkey TO before_pkey")


def _take_over(table: str) -> None:
    op.execute(f"INSERT INTO {table} SELECT * FROM before")
    op.execute("DROP TABLE before")
    op.execute(f"ANALYZE {table}")
