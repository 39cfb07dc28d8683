"""A version keeps what was approved of it, by whom and when."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utc import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaign_versions", sa.Column("approved_hash", sa.Text(), nullable=True))
    op.add_column("campaign_versions", sa.Column("approved_by", sa.Text(), nullable=True))
    op.add_column("campaign_versions", sa.Column("approved_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    for name in ("approved_hash", "approved_by", "approved_at"):
        op.drop_column("campaign_versions", name)
