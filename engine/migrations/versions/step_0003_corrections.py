"""Place events can be taken back."""

import sqlalchemy as sa
import sqlalchemy_utc
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("place_events", sa.Column("retracted_at", sqlalchemy_utc.UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("place_events", "retracted_at")
