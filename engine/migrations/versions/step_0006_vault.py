"""The vault: data keys per subject, fingerprints to look up by, the suppression list, erasures.

What stood in clear before is sealed by `engine.sealing` when the engine opens the store next.
"""

import sqlalchemy as sa
import sqlalchemy_utc
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vault_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("check_value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vault_keys")),
    )
    op.create_table(
        "subject_keys",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("master", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_subject_keys")),
    )
    op.create_table(
        "suppressions",
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("keep_until", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("lifted_at", sqlalchemy_utc.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("mark", "scope", name=op.f("pk_suppressions")),
    )
    op.create_table(
        "erasures",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("erased_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("settled_at", sqlalchemy_utc.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )
    op.create_index(op.f("ix_erasures_settled_at"), "erasures", ["settled_at"], unique=False)
    op.drop_index(op.f("ix_subjects_phone"), table_name="subjects")
    op.add_column("subjects", sa.Column("phone_index", sa.Text(), nullable=True))
    op.add_column("subjects", sa.Column("phone_mark", sa.Text(), nullable=True))
    op.create_index(op.f("ix_subjects_phone_index"), "subjects", ["phone_index"], unique=False)
    op.add_column("devices", sa.Column("name", sa.Text(), nullable=True))
    op.add_column("idempotent_answers", sa.Column("subject", sa.String(), nullable=True))
    op.create_index(op.f("ix_idempotent_answers_subject"), "idempotent_answers", ["subject"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_idempotent_answers_subject"), table_name="idempotent_answers")
    op.drop_column("idempotent_answers", "subject")
    op.drop_column("devices", "name")
    op.drop_index(op.f("ix_subjects_phone_index"), table_name="subjects")
    op.drop_column("subjects", "phone_mark")
    op.drop_column("subjects", "phone_index")
    op.create_index(op.f("ix_subjects_phone"), "subjects", ["phone"], unique=False)
    op.drop_index(op.f("ix_erasures_settled_at"), table_name="erasures")
    op.drop_table("erasures")
    op.drop_table("suppressions")
    op.drop_table("subject_keys")
    op.drop_table("vault_keys")
