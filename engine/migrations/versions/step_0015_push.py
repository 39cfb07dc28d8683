"""Push addresses have a kind, and it is known since when and when last they were told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utc import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("devices", sa.Column("push_kind", sa.Text(), nullable=True))
    op.add_column("devices", sa.Column("push_since", UtcDateTime(), nullable=True))
    op.add_column("devices", sa.Column("push_seen_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    for column in ("push_seen_at", "push_since", "push_kind"):
        op.drop_column("devices", column)
