"""The records store's schema: every domain's tables, and the Alembic steps that lead to them."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text

import campaigns.tables  # for its tables, as the next ones
import consent.access_log  # for its table, as the next ones
import consent.activity
import consent.address
import consent.log_tables
import consent.opt_in
import consent.processor_store
import consent.request_store
import consent.review
import consent.store
import engine.events_out.tables
import engine.store
import geofences.tables
from consent.data_keys import VAULT_OPTION, register_keys
from engine.events_out.triggers import ensure_triggers
from engine.records import Records

MIGRATIONS = Path(__file__).parent / "migrations"
METADATA: tuple[MetaData, ...] = (
    consent.tables.metadata,
    geofences.tables.metadata,
    campaigns.tables.metadata,
    engine.store.metadata,
    engine.events_out.tables.metadata,
)
_UPGRADE_LOCK = 7_301_902
"""PostgreSQL advisory lock: two processes that start together upgrade one after the other."""


def upgrade(records: Records) -> None:
    """Bring the schema to the newest step, and see that the vault's keys are there. Safe to call from several processes
    at once. Raises `KeyMissing`.
    """
    with records.writes.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
        if current_step(connection) != newest_step():
            command.upgrade(_config(connection), "head")
        ensure_triggers(connection)
        if VAULT_OPTION in connection.get_execution_options():
            register_keys(connection)


def current_step(connection: Connection) -> str | None:
    """The step that the schema stands at; None for an empty database."""
    return MigrationContext.configure(connection).get_current_revision()


@cache
def newest_step() -> str | None:
    """The step that this version of the code knows as its newest."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config).get_current_head()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    config.attributes["metadata"] = list(METADATA)
    return config
