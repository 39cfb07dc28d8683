from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from engine.records import Records
from engine.schema import METADATA, current_step, newest_step, upgrade


def test_the_steps_lead_to_the_tables_that_the_code_knows(records: Records):
    with records.writes.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, list(METADATA)) == []
        assert current_step(connection) == newest_step() is not None


def test_upgrading_again_changes_nothing(records: Records):
    upgrade(records)
    with records.reads.connect() as connection:
        assert current_step(connection) == newest_step()
