"""The first schema: subjects and their ledger, geofences and events, campaigns and messages, keys."""

import sqlalchemy as sa
import sqlalchemy_utc
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "consent_entries",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("text_version", sa.Text(), nullable=True),
        sa.Column("at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("recorded_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_consent_entries")),
        sa.UniqueConstraint("id", name=op.f("uq_consent_entries_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_consent_entries_subject_seq", "consent_entries", ["subject", "seq"], unique=False)
    op.create_table(
        "inbound_messages",
        sa.Column("sid", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("received_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sid", name=op.f("pk_inbound_messages")),
    )
    op.create_table(
        "subjects",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("timezone", sa.Text(), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("created_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("updated_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subjects")),
    )
    op.create_index(op.f("ix_subjects_phone"), "subjects", ["phone"], unique=False)
    op.create_table(
        "devices",
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("push", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["subject"], ["subjects.id"], name=op.f("fk_devices_subject"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("device", name=op.f("pk_devices")),
    )
    op.create_index(op.f("ix_devices_subject"), "devices", ["subject"], unique=False)
    op.create_table(
        "inbound_subjects",
        sa.Column("sid", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sid"], ["inbound_messages.sid"], name=op.f("fk_inbound_subjects_sid"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sid", "subject", name=op.f("pk_inbound_subjects")),
    )
    op.create_index(op.f("ix_inbound_subjects_subject"), "inbound_subjects", ["subject"], unique=False)
    op.create_table(
        "geofence_revision",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_geofence_revision")),
    )
    op.create_table(
        "geofences",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("feature", sa.JSON(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("updated_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_geofences")),
    )
    op.create_index(op.f("ix_geofences_revision"), "geofences", ["revision"], unique=False)
    op.create_table(
        "place_events",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("geofence", sa.Text(), nullable=False),
        sa.Column("at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("emitted", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("recorded_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_place_events")),
    )
    op.create_index(op.f("ix_place_events_at_id"), "place_events", ["at", "id"], unique=False)
    op.create_index(op.f("ix_place_events_device_at"), "place_events", ["device", "at"], unique=False)
    op.create_index(op.f("ix_place_events_geofence_at"), "place_events", ["geofence", "at"], unique=False)
    op.create_index(op.f("ix_place_events_subject_at"), "place_events", ["subject", "at"], unique=False)
    op.create_table(
        "campaigns",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("starts_at", sqlalchemy_utc.UtcDateTime(), nullable=True),
        sa.Column("ends_at", sqlalchemy_utc.UtcDateTime(), nullable=True),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("changed_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
    )
    op.create_index(op.f("ix_campaigns_state"), "campaigns", ["state"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("geofence", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("gates", sa.JSON(), nullable=False),
        sa.Column("at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
        sa.UniqueConstraint("event", "campaign", name=op.f("uq_decisions_event_campaign")),
    )
    op.create_index(op.f("ix_decisions_at_id"), "decisions", ["at", "id"], unique=False)
    op.create_index(op.f("ix_decisions_campaign_at"), "decisions", ["campaign", "at"], unique=False)
    op.create_index(op.f("ix_decisions_geofence_at"), "decisions", ["geofence", "at"], unique=False)
    op.create_index(op.f("ix_decisions_outcome_at"), "decisions", ["outcome", "at"], unique=False)
    op.create_index(op.f("ix_decisions_subject_at"), "decisions", ["subject", "at"], unique=False)
    op.create_table(
        "messages",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("geofence", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("valid_until", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("next_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("sent_at", sqlalchemy_utc.UtcDateTime(), nullable=True),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("event", "campaign", name=op.f("uq_messages_event_campaign")),
    )
    op.create_index(
        op.f("ix_messages_campaign_created_at"), "messages", ["campaign", "created_at"], unique=False
    )
    op.create_index(op.f("ix_messages_created_at_id"), "messages", ["created_at", "id"], unique=False)
    op.create_index(
        op.f("ix_messages_geofence_created_at"), "messages", ["geofence", "created_at"], unique=False
    )
    op.create_index(op.f("ix_messages_provider_id"), "messages", ["provider_id"], unique=False)
    op.create_index(op.f("ix_messages_state_next_at"), "messages", ["state", "next_at"], unique=False)
    op.create_index(op.f("ix_messages_subject_campaign"), "messages", ["subject", "campaign"], unique=False)
    op.create_table(
        "attempts",
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("ended_at", sqlalchemy_utc.UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["message"], ["messages.id"], name=op.f("fk_attempts_message"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message", "number", name=op.f("pk_attempts")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("scopes", sa.String(), nullable=False),
        sa.Column("created_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("revoked_at", sqlalchemy_utc.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_table(
        "idempotent_answers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("body_hash", sa.String(), nullable=False),
        sa.Column("begun_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("media_type", sa.String(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotent_answers")),
    )
    op.create_index(op.f("ix_idempotent_answers_begun_at"), "idempotent_answers", ["begun_at"], unique=False)
    op.execute("INSERT INTO geofence_revision (id, value) VALUES (1, 0)")


def downgrade() -> None:
    op.drop_index(op.f("ix_idempotent_answers_begun_at"), table_name="idempotent_answers")
    op.drop_table("idempotent_answers")
    op.drop_table("api_keys")
    op.drop_table("attempts")
    op.drop_index(op.f("ix_messages_subject_campaign"), table_name="messages")
    op.drop_index(op.f("ix_messages_state_next_at"), table_name="messages")
    op.drop_index(op.f("ix_messages_provider_id"), table_name="messages")
    op.drop_index(op.f("ix_messages_geofence_created_at"), table_name="messages")
    op.drop_index(op.f("ix_messages_created_at_id"), table_name="messages")
    op.drop_index(op.f("ix_messages_campaign_created_at"), table_name="messages")
    op.drop_table("messages")
    op.drop_index(op.f("ix_decisions_subject_at"), table_name="decisions")
    op.drop_index(op.f("ix_decisions_outcome_at"), table_name="decisions")
    op.drop_index(op.f("ix_decisions_geofence_at"), table_name="decisions")
    op.drop_index(op.f("ix_decisions_campaign_at"), table_name="decisions")
    op.drop_index(op.f("ix_decisions_at_id"), table_name="decisions")
    op.drop_table("decisions")
    op.drop_index(op.f("ix_campaigns_state"), table_name="campaigns")
    op.drop_table("campaigns")
    op.drop_index(op.f("ix_place_events_subject_at"), table_name="place_events")
    op.drop_index(op.f("ix_place_events_geofence_at"), table_name="place_events")
    op.drop_index(op.f("ix_place_events_device_at"), table_name="place_events")
    op.drop_index(op.f("ix_place_events_at_id"), table_name="place_events")
    op.drop_table("place_events")
    op.drop_index(op.f("ix_geofences_revision"), table_name="geofences")
    op.drop_table("geofences")
    op.drop_table("geofence_revision")
    op.drop_index(op.f("ix_inbound_subjects_subject"), table_name="inbound_subjects")
    op.drop_table("inbound_subjects")
    op.drop_index(op.f("ix_devices_subject"), table_name="devices")
    op.drop_table("devices")
    op.drop_index(op.f("ix_subjects_phone"), table_name="subjects")
    op.drop_table("subjects")
    op.drop_table("inbound_messages")
    op.drop_index("ix_consent_entries_subject_seq", table_name="consent_entries")
    op.drop_table("consent_entries")
