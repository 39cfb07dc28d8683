"""The data-protection officer's commands, as they are typed."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from config import Settings
from consent import processor_store, request_store
from consent.entry import Action, Entry, Purpose
from consent.request import RequestKind, received
from consent.subject import Device, Subject
from engine.app import Engine
from tests.support.command import chaland


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A data directory with a shopper, an overdue request and an erasure that a processor must be told of by hand."""
    engine = Engine(Settings(data_dir=tmp_path))
    engine.open()
    now = engine.now()
    engine.desk.put(Subject("ana", "+33639980001", devices=(Device("ana-phone"),)))
    engine.desk.record(
        Entry("e1", "ana", Purpose.LOCATION, None, Action.GRANT, "app", "1", now, now, actor="test")
    )
    with engine.records.writes.begin() as conn:
        for days in (1, 40):
            at = now - timedelta(days=days)
            request_store.add(conn, received(f"r{days}", "ana", RequestKind.ACCESS, "letter", "test", at))
        processor_store.notify(conn, "zoe", [("printer", False)], now)
    engine.close()
    return tmp_path


def test_export_link_erase(shop: Path):
    out = shop / "ana.json"
    assert chaland("consent", "export", "ana", str(out), data_dir=shop).returncode == 0
    assert out.stat().st_mode & 0o077 == 0
    held = json.loads(out.read_text())
    assert (held["subject"]["phone"], held["consents"][0]["purpose"]) == ("+33639980001", "location")
    assert (held["live"][0]["gate"], held["access_log"]) == ("open", [])
    links = chaland("consent", "link", "ana", data_dir=shop).stdout.splitlines()
    assert links[0].split()[1].startswith("http://127.0.0.1:8000/p/")
    assert links[1].split()[1].startswith("http://127.0.0.1:8000/u/")
    assert chaland("consent", "erase", "ana", "--yes", data_dir=shop).returncode == 0
    gone = chaland("consent", "export", "ana", data_dir=shop)
    assert (gone.returncode, "no such subject" in gone.stderr, "Traceback" in gone.stderr) == (2, True, False)


def test_requests_and_notices(shop: Path):
    listed = chaland("consent", "requests", data_dir=shop)
    assert (listed.returncode, len(listed.stdout.splitlines())) == (1, 2)
    late = chaland("consent", "requests", "--overdue", data_dir=shop)
    assert [line.split()[0] for line in late.stdout.splitlines()] == ["r40"]
    assert "2 open, 1 overdue" in listed.stderr
    waiting = chaland("consent", "notices", data_dir=shop).stdout
    assert "manual  printer" in waiting
    assert chaland("consent", "notices", "--done", waiting.split()[0], data_dir=shop).stdout == ""
    assert chaland("consent", "notices", "--done", "none", data_dir=shop).returncode == 2


def test_purge_and_sheet(shop: Path):
    dry = chaland("consent", "purge", "--dry-run", data_dir=shop)
    assert "0  place_events after 30 days" in dry.stdout
    assert "nothing was removed" in dry.stderr
    assert "0 rows removed, 0 subjects erased" in chaland("consent", "purge", data_dir=shop).stderr
    processors = shop / "processors.toml"
    processors.write_text('[[processor]]\nname = "printer"\ntask = "prints"\ndata = "name"\ncountry = "FR"\n')
    plain = chaland("consent", "dpia", data_dir=shop).stdout
    told = chaland("consent", "dpia", data_dir=shop, CHALAND_PROCESSORS_PATH=str(processors)).stdout
    assert "No processor is declared" in plain
    assert "| printer | prints | name | FR |  | by a person |" in told
    assert "| subjects | shopper |" in told
    wrong = chaland("consent", "dpia", data_dir=shop, CHALAND_PROCESSORS_PATH=str(shop / "none"))
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (2, False)
