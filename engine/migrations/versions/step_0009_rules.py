"""A message names the country's rule that held it back; the daily checks of withdrawals are kept."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utc import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("rule", sa.Text(), nullable=True))
    op.create_table(
        "breach_checks",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("checked_at", UtcDateTime(), nullable=False),
        sa.Column("withdrawals", sa.Integer(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("breaches", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("day", name="pk_breach_checks"),
    )


def downgrade() -> None:
    op.drop_table("breach_checks")
    op.drop_column("messages", "rule")
