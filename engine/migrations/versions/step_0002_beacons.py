"""Beacons, and the counter of their edits."""

import sqlalchemy as sa
import sqlalchemy_utc
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "beacons",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("radio", sa.Text(), nullable=False),
        sa.Column("geofence", sa.Text(), nullable=False),
        sa.Column("tx_power_dbm", sa.Float(), nullable=True),
        sa.Column("path_loss", sa.Float(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("lat", sa.Float(), nullable=True),
        sa.Column("lon", sa.Float(), nullable=True),
        sa.Column("updated_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["geofence"], ["geofences.id"], name=op.f("fk_beacons_geofence")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_beacons")),
        sa.UniqueConstraint("radio", name=op.f("uq_beacons_radio")),
    )
    op.create_index(op.f("ix_beacons_geofence"), "beacons", ["geofence"], unique=False)
    op.execute("INSERT INTO geofence_revision (id, value) VALUES (2, 0)")


def downgrade() -> None:
    op.execute("DELETE FROM geofence_revision WHERE id = 2")
    op.drop_index(op.f("ix_beacons_geofence"), table_name="beacons")
    op.drop_table("beacons")
