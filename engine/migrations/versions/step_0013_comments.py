"""A change of a campaign may carry a comment."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaign_changes", sa.Column("comment", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("campaign_changes", "comment")
