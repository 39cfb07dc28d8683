"""Decisions and messages say in which variant of the campaign's experiment somebody was, or would have been, spoken to."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("decisions", sa.Column("variant", sa.Text(), nullable=True))
    op.add_column("messages", sa.Column("variant", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("messages", "variant")
    op.drop_column("decisions", "variant")
