"""Codes that tills took."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utc import UtcDateTime

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "redemptions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("geofence", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=True),
        sa.Column("amount_thousandths", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_redemptions"),
    )
    op.create_index("ix_redemptions_subject_at", "redemptions", ["subject", "at"])
    op.create_index("ix_redemptions_campaign_at", "redemptions", ["campaign", "at"])
    op.create_index("ix_redemptions_geofence_at", "redemptions", ["geofence", "at"])
    op.create_index("ix_redemptions_at", "redemptions", ["at"])


def downgrade() -> None:
    op.drop_table("redemptions")
