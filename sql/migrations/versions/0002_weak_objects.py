"""Objects that people's crops mark."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "weak_objects",
        sa.Column("pin_id", sa.Text(), nullable=False),
        sa.Column("object_no", sa.Integer(), nullable=False),
        sa.Column("date", sa.Date(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("x1", sa.Double(), nullable=True),
        sa.Column("y1", sa.Double(), nullable=True),
        sa.Column("x2", sa.Double(), nullable=True),
        sa.Column("y2", sa.Double(), nullable=True),
        sa.Column("n_users", sa.BigInteger(), nullable=True),
        sa.Column("n_croppers", sa.BigInteger(), nullable=True),
        sa.Column("box_confidence", sa.Double(), nullable=True),
        sa.Column("label_confidence", sa.Double(), nullable=True),
        sa.Column("labels_json", sa.Text(), nullable=True),
        sa.Column("annotations_json", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("pin_id", "object_no"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("weak_objects", schema=None) as batch_op:
        batch_op.create_index("weak_objects_by_category", ["category"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("weak_objects", schema=None) as batch_op:
        batch_op.drop_index("weak_objects_by_category")

    op.drop_table("weak_objects")
