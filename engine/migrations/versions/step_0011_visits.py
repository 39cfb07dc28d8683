"""Visits are kept, longer than the events that they are made of. They begin with the first events after this step."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utc import UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "visits",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("geofence", sa.Text(), nullable=False),
        sa.Column("entered_at", UtcDateTime(), nullable=False),
        sa.Column("left_at", UtcDateTime(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_visits"),
    )
    op.create_index("ix_visits_subject_geofence_entered_at", "visits", ["subject", "geofence", "entered_at"])
    op.create_index("ix_visits_geofence_entered_at", "visits", ["geofence", "entered_at"])
    op.create_index("ix_visits_entered_at_id", "visits", ["entered_at", "id"])


def downgrade() -> None:
    op.drop_table("visits")
