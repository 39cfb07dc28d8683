"""Messages have a cost, a day by which budgets count them, and the visit during which they were decided; budgets have counters."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "budget_counters",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("reserved_messages", sa.BigInteger(), nullable=False),
        sa.Column("reserved_micros", sa.BigInteger(), nullable=False),
        sa.Column("committed_messages", sa.BigInteger(), nullable=False),
        sa.Column("committed_micros", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "day", name="pk_budget_counters"),
    )
    op.add_column("messages", sa.Column("visit", sa.Text(), nullable=True))
    op.add_column("messages", sa.Column("cost_micros", sa.BigInteger(), nullable=True))
    op.add_column("messages", sa.Column("counted_on", sa.Date(), nullable=True))
    op.add_column("messages", sa.Column("counted", sa.Text(), nullable=True))
    op.create_index("ix_messages_counted_state", "messages", ["counted", "state"])
    op.create_index("ix_messages_counted_on", "messages", ["counted_on"])


def downgrade() -> None:
    op.drop_index("ix_messages_counted_on", "messages")
    op.drop_index("ix_messages_counted_state", "messages")
    for name in ("counted", "counted_on", "cost_micros", "visit"):
        op.drop_column("messages", name)
    op.drop_table("budget_counters")
