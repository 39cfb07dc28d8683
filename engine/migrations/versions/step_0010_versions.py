"""Every version of a campaign is kept; decisions and messages say which one they were judged and rendered by."""

import json
from datetime import UTC, datetime
from hashlib import sha256

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utc import UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_CAMPAIGNS = sa.table(
    "campaigns",
    sa.column("id", sa.Text()),
    sa.column("state", sa.Text()),
    sa.column("definition", sa.JSON()),
    sa.column("changed_at", UtcDateTime()),
)


def upgrade() -> None:
    versions = op.create_table(
        "campaign_versions",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("frozen_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("campaign", "version", name="pk_campaign_versions"),
    )
    op.add_column("decisions", sa.Column("version", sa.Integer(), nullable=True))
    op.add_column("messages", sa.Column("version", sa.Integer(), nullable=True))
    connection = op.get_bind()
    for row in connection.execute(sa.select(_CAMPAIGNS)).all():
        definition = {"max_segments": 4, **row.definition, "version": 1}
        connection.execute(versions.insert().values(_first_version(row, definition)))
        this = sa.update(_CAMPAIGNS).where(_CAMPAIGNS.c.id == row.id)
        connection.execute(this.values(definition=definition))


def downgrade() -> None:
    op.drop_column("messages", "version")
    op.drop_column("decisions", "version")
    op.drop_table("campaign_versions")


def _first_version(
    row: sa.Row[tuple[str, str, dict[str, object], datetime]], definition: dict[str, object]
) -> dict[str, object]:
    """What a campaign was when versions began."""
    content = {name: value for name, value in definition.items() if name not in ("id", "version", "state")}
    written = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    at = row.changed_at.astimezone(UTC)
    return {
        "campaign": row.id,
        "version": 1,
        "definition": content,
        "content_hash": sha256(written.encode()).hexdigest(),
        "made_at": at,
        "frozen_at": None if row.state == "draft" else at,
    }
