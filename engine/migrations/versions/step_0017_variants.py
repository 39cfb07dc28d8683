"""Decisions and messages say in which variant of the campaign's experiment somebody was, or would have been, spoken to, and
messages how many segments an SMS took.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("decisions", sa.Column("variant", sa.Text(), nullable=True))
    op.add_column("messages", sa.Column("variant", sa.Text(), nullable=True))
    op.add_column("messages", sa.Column("segments", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("messages", "segments")
    op.drop_column("messages", "variant")
    op.drop_column("decisions", "variant")
