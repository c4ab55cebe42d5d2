"""Features in the learned space of crops, and interest times likeness."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = (
    ("pair_features", "whole_crop_cosine"),
    ("pair_interest", "interest_look_match"),
    ("pair_interest", "interest_colour_match"),
)


def upgrade() -> None:
    for table, column in COLUMNS:
        op.add_column(table, sa.Column(column, sa.Double(), nullable=True))


def downgrade() -> None:
    for table, column in COLUMNS:
        op.drop_column(table, column)
