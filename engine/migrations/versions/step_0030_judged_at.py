"""Decisions that were held and ended unjudged keep when their gates were asked."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utc import UtcDateTime

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("decisions", sa.Column("judged_at", UtcDateTime()))


def downgrade() -> None:
    op.drop_column("decisions", "judged_at")
