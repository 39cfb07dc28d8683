"""Shoppers' requests, erasures passed on to processors, who looked at what, and the last day of activity."""

import sqlalchemy as sa
import sqlalchemy_utc
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "privacy_requests",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("means", sa.Text(), nullable=False),
        sa.Column("received_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("due_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("identity_check", sa.Text(), nullable=True),
        sa.Column("extended_at", sqlalchemy_utc.UtcDateTime(), nullable=True),
        sa.Column("extension_reason", sa.Text(), nullable=True),
        sa.Column("closed_at", sqlalchemy_utc.UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_privacy_requests")),
    )
    op.create_index(op.f("ix_privacy_requests_subject"), "privacy_requests", ["subject"], unique=False)
    op.create_index(
        "ix_privacy_requests_closed_at_due_at", "privacy_requests", ["closed_at", "due_at"], unique=False
    )
    op.create_table(
        "erasure_notices",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("processor", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("created_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("next_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("last_answer", sa.Text(), nullable=True),
        sa.Column("done_at", sqlalchemy_utc.UtcDateTime(), nullable=True),
        sa.Column("proof", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure_notices")),
    )
    op.create_index(op.f("ix_erasure_notices_subject"), "erasure_notices", ["subject"], unique=False)
    op.create_index("ix_erasure_notices_state_next_at", "erasure_notices", ["state", "next_at"], unique=False)
    op.create_table(
        "subject_activity",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("active_on", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subject"], ["subjects.id"], name=op.f("fk_subject_activity_subject"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_subject_activity")),
    )
    op.create_table(
        "access_log",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_log")),
    )
    op.create_index(op.f("ix_access_log_at"), "access_log", ["at"], unique=False)
    op.create_index("ix_access_log_subject_at", "access_log", ["subject", "at"], unique=False)


def downgrade() -> None:
    for table in ("access_log", "subject_activity", "erasure_notices", "privacy_requests"):
        op.drop_table(table)
