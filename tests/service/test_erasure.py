"""Erasing somebody from a running engine: afterwards no file of it holds a trace, in any encoding tried."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from consent.keyring import Keyring
from tests.engine.test_worker import LAT, LON
from tests.service.process import chaland
from tests.support.traces import files_in, shapes, traces

ZOE = {
    "phone": "+33639983571",
    "device": "zoes-very-own-handset-7QX",
    "token": "fcm-T0k3n-of-zoe-91LkPq",
    "attribute": "Zéphyrine-Quillfeather",
}
OPEN = {"purpose": "location"}, {"purpose": "marketing", "channel": "sms"}


@pytest.mark.parametrize("value", ZOE.values())
def test_the_search_finds_what_it_looks_for(value, tmp_path):
    for number, form in enumerate(sorted(shapes(value))):
        (tmp_path / f"{number}").write_bytes(b"some" + form + b"thing")
    found = {name for _, name in traces(files_in(tmp_path), {"it": value})}
    assert found == {each.name for each in files_in(tmp_path)}
    assert traces([], ZOE) == set()


def test_an_erased_subject_leaves_no_trace_in_any_file(database_url, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    url = database_url if database_url.startswith("postgresql") else ""
    with chaland("serve", data_dir=home, CHALAND_DATABASE_URL=url) as served, served.client() as client:
        prepare(client)
        walk_in(client, ZOE["device"], "bens-phone")
        text = wait_for(lambda: items(client, "/v1/messages?subject=zoe"))[0]["text"]
        assert ZOE["attribute"] in text
        assert items(client, f"/v1/events?device={ZOE['device']}")[0]["device"] == ZOE["device"]
        assert ("device", "appendonly.aof.1.incr.aof") in traces(
            files_in(home), ZOE
        )  # what there is to erase
        assert traces(backup_of(home, url), ZOE) == set()  # nothing stood in clear in the records
        before = client.get("/v1/subjects/zoe/consents").json()["items"]

        client.delete("/v1/subjects/zoe").raise_for_status()

        searched = lambda: [*files_in(home), *backup_of(home, url)]  # noqa: E731
        wait_for(lambda: not traces(searched(), ZOE))  # a server removes its old files in the background
        assert traces(database_files(url), ZOE) == set()
        assert len(searched()) > 5
        refused = client.put("/v1/subjects/other", json={"phone": "06 39 98 35 71"})
        assert (refused.status_code, refused.json()["code"]) == (409, "number_suppressed")
        assert client.get("/v1/subjects/zoe").status_code == 404
        for path in (
            f"/v1/events?device={ZOE['device']}",
            "/v1/messages?subject=zoe",
            "/v1/decisions?subject=zoe",
        ):
            assert items(client, path) == []
        rejected = client.post("/v1/pings", json={"pings": [fix(ZOE["device"], 0)]})
        assert rejected.status_code == 422  # nobody has this device
        assert items(client, "/v1/events?subject=ben") != []  # who was in the same log entries is still there
        meet(client, "cem", "+33639980003", "Cem", {"device": "cems-phone"})
        walk_in(client, "cems-phone")
        assert wait_for(lambda: items(client, "/v1/events?subject=cem"))  # the log goes on where it was
        assert not traces(searched(), ZOE)

        keys = {key.id: key.secret for key in Keyring(home / "vault.keys").read()}
        files = {
            each: each.read_bytes() for each in searched() if each.name != "vault.keys" and each.exists()
        }
    assert len(keys) == 3
    for secret in keys.values():
        assert not [file for file, data in files.items() if secret in data or secret.hex().encode() in data]
    assert len(before) == 2
    assert entries_of("zoe", home, url) == []  # of the ledger only leaves stay


def prepare(client):
    bakery = {
        "type": "Feature",
        "properties": {"name": "Bakery", "radius": 40},
        "geometry": {"type": "Point", "coordinates": [LON, LAT]},
    }
    client.put("/v1/geofences/bakery", json=bakery).raise_for_status()
    campaign = {
        "name": "Bread",
        "trigger": {"event": "enter", "geofences": ["bakery"]},
        "channel": "sms",
        "template": "{{ first_name }}, fresh bread?",
    }
    client.put("/v1/campaigns/bread", json=campaign).raise_for_status()
    client.post("/v1/campaigns/bread/activate").raise_for_status()
    push = {"kind": "fcm_token", "token": ZOE["token"]}
    meet(client, "zoe", ZOE["phone"], ZOE["attribute"], {"device": ZOE["device"], "push": push})
    meet(client, "ben", "+33639980002", "Ben", {"device": "bens-phone"})
    time.sleep(1.5)  # until the worker has taken over the new geofence


def meet(client, who, phone, name, device):
    body = {"phone": phone, "attributes": {"first_name": name}, "devices": [device]}
    client.put(f"/v1/subjects/{who}", json=body).raise_for_status()
    for consent in OPEN:
        said = consent | {"action": "grant", "source": "app", "text_version": "v1"}
        key = {"Idempotency-Key": f"{who} {consent['purpose']}"}
        client.post(f"/v1/subjects/{who}/consents", json=said, headers=key).raise_for_status()


def fix(device, age):
    return {"device": device, "at": time.time() - age, "lat": LAT, "lon": LON, "accuracy": 8}


def walk_in(client, *devices):
    pings = [fix(device, age) for age in (50, 40, 30, 20, 10, 0) for device in devices]
    assert client.post("/v1/pings", json={"pings": pings}).json()["accepted"] == len(pings)


def items(client, path):
    return client.get(path).raise_for_status().json()["items"]


def wait_for(look, seconds=20):
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)
    return found


def backup_of(home, url):
    """A fresh backup: SQLite's own copy, or everything that PostgreSQL's COPY gives of every table."""
    target = home.parent / "backup"
    target.unlink(missing_ok=True)
    if not url:
        source = sqlite3.connect(home / "records.sqlite")
        with closing(source), closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
        return [target]
    with psycopg.connect(url) as connection, target.open("wb") as file:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            with connection.cursor().copy(f'COPY "{table}" TO STDOUT') as rows:  # type: ignore[arg-type]
                file.writelines(bytes(each) for each in rows)
    return [target]


def database_files(url):
    """PostgreSQL's own files, its write-ahead log among them."""
    if not url:
        return []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        folder, own = connection.execute(
            "SELECT current_setting('data_directory'), oid FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    return [
        file for part in (f"base/{own}", "global", "pg_wal", "log") for file in files_in(Path(folder) / part)
    ]


def entries_of(subject, home, url):
    query = f"SELECT * FROM consent_entries WHERE subject = '{subject}'"
    if url:
        with psycopg.connect(url) as connection:
            return connection.execute(query).fetchall()
    with closing(sqlite3.connect(home / "records.sqlite")) as connection:
        return connection.execute(query).fetchall()
