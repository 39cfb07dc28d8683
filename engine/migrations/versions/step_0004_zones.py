"""Place events name the beacon that they are about, and the part of the store that it stands for."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("place_events", sa.Column("beacon", sa.Text(), nullable=True))
    op.add_column("place_events", sa.Column("zone", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("place_events", "zone")
    op.drop_column("place_events", "beacon")
