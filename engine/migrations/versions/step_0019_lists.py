"""Lists of subjects are uploaded, for campaigns to speak to or to leave out."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utc import UtcDateTime

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "list_members",
        sa.Column("list", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("added_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("list", "subject", name="pk_list_members"),
    )
    op.create_index("ix_list_members_subject", "list_members", ["subject"])


def downgrade() -> None:
    op.drop_table("list_members")
