"""A key may be a further one of an app, and speak of some devices alone; and it is known when each was last used."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utc import UtcDateTime

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("app", sa.String(), nullable=True))
    op.add_column("api_keys", sa.Column("last_used_at", UtcDateTime(), nullable=True))
    op.add_column("api_keys", sa.Column("devices", sa.String(), nullable=True))


def downgrade() -> None:
    for column in ("devices", "last_used_at", "app"):
        op.drop_column("api_keys", column)
