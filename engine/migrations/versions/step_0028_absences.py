"""Visits are found by when they ended."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_visits_left_at_id", "visits", ["left_at", "id"])


def downgrade() -> None:
    op.drop_index("ix_visits_left_at_id", "visits")
