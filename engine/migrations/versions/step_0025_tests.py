"""Decisions and messages say whether they were tests."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("decisions", "messages"):
        op.add_column(table, sa.Column("test", sa.Boolean(), nullable=True))


def downgrade() -> None:
    for table in ("decisions", "messages"):
        op.drop_column(table, "test")
