"""Short links of messages, and who opened them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utc import UtcDateTime

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "short_links",
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("geofence", sa.Text(), nullable=True),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("token", name="pk_short_links"),
    )
    op.create_index("ix_short_links_subject", "short_links", ["subject"])
    op.create_index("ix_short_links_campaign", "short_links", ["campaign"])
    op.create_index("ix_short_links_made_at", "short_links", ["made_at"])
    op.create_table(
        "clicks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("opener", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["link"], ["short_links.token"], name="fk_clicks_link", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_clicks"),
    )
    op.create_index("ix_clicks_link", "clicks", ["link"])
    op.create_index("ix_clicks_message_at", "clicks", ["message", "at"])


def downgrade() -> None:
    op.drop_table("clicks")
    op.drop_table("short_links")
