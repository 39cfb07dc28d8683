"""The ledger on the command line, and how an older installation's entries come into the log."""

import json
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

from consent import ledger, log, store
from consent.audit import audit
from consent.signing import KeyRing
from engine.records import open_records
from engine.schema import _config, upgrade
from tests.consent.cast import ANA, grant, minute, withdraw
from tests.support.command import chaland


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a ledger of four entries, and a checkpoint of it."""
    folder = tmp_path_factory.mktemp("shop")
    records = open_records(f"sqlite:///{folder / 'records.sqlite'}", folder / "vault.keys")
    upgrade(records)
    with records.writes.begin() as connection:
        store.put_subject(connection, ANA, minute(0))
        ledger.record_all(connection, [grant(minute(n), id=f"e-{n}") for n in range(1, 4)])
        ledger.record(connection, withdraw(minute(9), id="e-9"))
    records.close()
    taken = chaland("consent", "checkpoint", str(folder / "auditor.checkpoint"), data_dir=folder)
    assert taken.returncode == 0, taken.stderr
    return folder


def test_a_ledger_that_holds_is_said_to(shop: Path):
    run = chaland("consent", "verify", data_dir=shop)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("the consent ledger holds: 4 leaves, 0 of them erased, 2 checkpoints\nroot ")


def test_a_second_party_verifies_with_what_was_handed_to_it(shop: Path, tmp_path: Path):
    keys = tmp_path / "chaland.keys"
    keys.write_text(chaland("consent", "keys", data_dir=shop).stdout)
    words = ("--checkpoint", str(shop / "auditor.checkpoint"), "--keys", str(keys))
    assert "3 checkpoints" in chaland("consent", "verify", *words, data_dir=shop).stdout
    keys.write_text(f"{KeyRing.new('chaland/other').public[0]}\n")
    run = chaland("consent", "verify", *words, data_dir=shop)
    assert (run.returncode, "no key that is known here" in run.stdout) == (1, True)


def test_the_first_bad_entry_is_named(shop: Path, tmp_path: Path):
    for name in ("records.sqlite", "records.sqlite-wal", "ledger.key", "ledger.checkpoint"):
        if (shop / name).exists():
            (tmp_path / name).write_bytes((shop / name).read_bytes())
    with sqlite3.connect(tmp_path / "records.sqlite") as connection:
        connection.execute("UPDATE consent_entries SET source = 'elsewhere' WHERE seq = 3")
        connection.execute("DELETE FROM consent_entries WHERE seq = 4")
    run = chaland("consent", "verify", data_dir=tmp_path)
    first, third, fourth = run.stdout.splitlines()
    assert run.returncode == 1
    assert first.startswith("the consent ledger does NOT hold; the first bad entry is 3 (4 leaves")
    assert (third, fourth) == (
        "  3: entry 3 is not what was written down: it does not match its leaf",
        "  4: entry 4 is gone, and no erasure names it",
    )


def test_a_database_cut_back_behind_the_checkpoint_beside_the_key_is_noticed(shop: Path, tmp_path: Path):
    for name in ("ledger.key", "ledger.checkpoint"):
        (tmp_path / name).write_bytes((shop / name).read_bytes())
    records = open_records(f"sqlite:///{tmp_path / 'records.sqlite'}", tmp_path / "vault.keys")
    upgrade(records)
    records.close()
    run = chaland("consent", "verify", data_dir=tmp_path)
    assert (run.returncode, "says 4 leaves, 0 are here: it was cut back" in run.stdout) == (1, True)


def test_a_proof_is_printed_and_its_receipt_checked_after_a_rotation(shop: Path, tmp_path: Path):
    words = ("ana", "marketing", "--channel", "sms", "--at", "2026-11-23T08:05:00")
    run = chaland("consent", "proof", *words, data_dir=shop)
    found = json.loads(run.stdout)
    assert (found["standing"]["allowed"], found["receipt"]["entry"]["id"]) == (True, "e-3")
    file = tmp_path / "proof.json"
    file.write_text(run.stdout)
    old = chaland("consent", "keys", data_dir=shop).stdout
    new = chaland("consent", "rotate-key", data_dir=shop).stdout
    assert chaland("consent", "keys", data_dir=shop).stdout == new + old
    checked = chaland("consent", "check-receipt", str(file), data_dir=shop)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "proven: it stood in the log" in checked.stdout
    file.write_text(run.stdout.replace("till", "web"))
    refused = chaland("consent", "check-receipt", str(file), data_dir=shop)
    assert (refused.returncode, refused.stdout.startswith("proves nothing")) == (1, True)
    assert chaland("consent", "verify", data_dir=shop).returncode == 0


def test_without_keys_nothing_is_verified(tmp_path: Path):
    run = chaland("consent", "verify", data_dir=tmp_path)
    assert (run.returncode, "CHALAND_LEDGER_KEY" in run.stderr) == (2, True)
    run = chaland("consent", "keys", data_dir=tmp_path, CHALAND_LEDGER_KEY="nonsense")
    assert (run.returncode, "Traceback" in run.stderr) == (2, False)


def test_the_entries_of_an_older_installation_come_into_the_log(empty_database_url: str, tmp_path: Path):
    records = open_records(empty_database_url, tmp_path / "vault.keys")
    with records.writes.begin() as connection:
        command.upgrade(_config(connection), "0004")
        known = "INSERT INTO subjects (id, attributes, created_at, updated_at) VALUES (:id, '{}', :at, :at)"
        at = "2026-11-23 07:00:00.000000" + ("" if connection.dialect.name == "sqlite" else "+00")
        connection.execute(text(known), [{"id": name, "at": at} for name in ("ana", "ben")])
        old = text(
            "INSERT INTO consent_entries (id, subject, purpose, channel, action, source, text_version, at, recorded_at, actor)"
            " VALUES (:id, :subject, 'marketing', 'sms', 'grant', 'till', 'offers-1', :at, :at, 'key:crm')"
        )
        at = "2026-11-23 08:00:00.000000" + ("" if connection.dialect.name == "sqlite" else "+00")
        rows = [{"id": f"old-{n}", "subject": "ana" if n % 2 else "ben", "at": at} for n in range(900)]
        connection.execute(old, rows)
        connection.execute(text("DELETE FROM consent_entries WHERE seq % 7 = 3"))  # sequences leave gaps
    upgrade(records)
    with records.reads.connect() as connection:
        report = audit(connection, KeyRing.new("chaland/test"))
        assert report.flaws == ()
        assert (report.size, report.root) == (771, log.root_at(connection, 771))
        seqs = [each.seq for name in ("ana", "ben") for each in ledger.entries_of(connection, name)]
        assert sorted(seqs) == list(range(1, 772))
    with records.writes.begin() as connection:
        assert ledger.record(connection, grant(minute(1), id="new")).seq == 772
        assert ledger.record(connection, grant(minute(1), id="old-1")).seq == 2
    with records.reads.connect() as connection:
        assert audit(connection, KeyRing.new("chaland/test")).flaws == ()
    records.close()
