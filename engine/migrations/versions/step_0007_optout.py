"""Texts in doubt that somebody reads, addresses that failed, and opt-ins that wait for a second yes."""

import sqlalchemy as sa
import sqlalchemy_utc
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "review_texts",
        sa.Column("sid", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sqlalchemy_utc.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["sid"], ["inbound_messages.sid"], name=op.f("fk_review_texts_sid"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sid", name=op.f("pk_review_texts")),
    )
    op.create_table(
        "address_failures",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("strikes", sa.Integer(), nullable=False),
        sa.Column("since", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("dead_at", sqlalchemy_utc.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("subject", "channel", name=op.f("pk_address_failures")),
    )
    op.create_table(
        "opt_in_requests",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("entry", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_opt_in_requests")),
    )
    op.create_index(op.f("ix_opt_in_requests_state"), "opt_in_requests", ["state"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_opt_in_requests_state"), table_name="opt_in_requests")
    op.drop_table("opt_in_requests")
    op.drop_table("address_failures")
    op.drop_table("review_texts")
