from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import update

from campaigns.campaign import campaign_json
from campaigns.lifecycle.version import content_hash
from campaigns.lifecycle.version_store import versions_page
from campaigns.store import get_campaign, put_campaign
from campaigns.tables import campaigns
from engine.records import Records
from engine.schema import METADATA, _config, current_step, newest_step, upgrade
from tests.campaigns.cast import BREAD
from tests.conftest import MONDAY_NINE


def test_the_steps_lead_to_the_tables_that_the_code_knows(records: Records):
    with records.writes.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, list(METADATA)) == []
        assert current_step(connection) == newest_step() is not None


def test_upgrading_again_changes_nothing(records: Records):
    upgrade(records)
    with records.reads.connect() as connection:
        assert current_step(connection) == newest_step()


def test_campaigns_from_before_versions_get_their_first(records: Records):
    with records.writes.begin() as connection:
        put_campaign(connection, BREAD, MONDAY_NINE)
        command.downgrade(_config(connection), "0009")
        then = {
            name: value
            for name, value in campaign_json(BREAD).items()
            if name not in ("version", "max_segments", "archived")
        }
        connection.execute(update(campaigns).values(definition=then))
    upgrade(records)
    with records.writes.begin() as connection:
        kept = get_campaign(connection, BREAD.id)
        assert kept == BREAD
        put_campaign(connection, BREAD, MONDAY_NINE)
        [first] = versions_page(connection, BREAD.id, 9).items
    assert (first.number, first.content_hash, first.frozen_at) == (1, content_hash(BREAD), MONDAY_NINE)
