"""What the features of a pair were made from."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pair_features", sa.Column("inputs", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("pair_features", "inputs")
