"""Messages that budgets have to settle, and the links of a message, are found without looking at all of them."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_UNSETTLED = sa.text(
    "CASE counted WHEN 'reserved' THEN state NOT IN ('due', 'sending')"
    " WHEN 'committed' THEN state IN ('due', 'sending', 'failed', 'expired', 'cancelled')"
    " WHEN 'released' THEN state NOT IN ('failed', 'expired', 'cancelled') END"
)


def upgrade() -> None:
    op.create_index(
        "ix_messages_unsettled", "messages", ["id"], postgresql_where=_UNSETTLED, sqlite_where=_UNSETTLED
    )
    op.create_index("ix_short_links_message", "short_links", ["message"])


def downgrade() -> None:
    op.drop_index("ix_short_links_message", "short_links")
    op.drop_index("ix_messages_unsettled", "messages")
