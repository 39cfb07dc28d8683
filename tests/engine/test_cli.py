"""The command, as it is typed."""

import json
from pathlib import Path

import pytest

from tests.support.command import chaland, chaland_process

SQUARE = {
    "type": "Feature",
    "id": "square",
    "properties": {"name": "Square", "dwell_seconds": 60},
    "geometry": {
        "type": "Polygon",
        "coordinates": [[[2.0, 48.0], [2.001, 48.0], [2.001, 48.001], [2.0, 48.001], [2.0, 48.0]]],
    },
}


@pytest.fixture
def shops(tmp_path: Path) -> Path:
    file = tmp_path / "shops.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [SQUARE]}))
    return file


def test_geofences_go_in_and_come_out_the_same(tmp_path: Path, shops: Path):
    assert chaland("geofences", "import", str(shops), data_dir=tmp_path).stdout == "1 geofences imported\n"
    out = chaland("geofences", "export", data_dir=tmp_path)
    [feature] = json.loads(out.stdout)["features"]
    assert (feature["id"], feature["geometry"]) == ("square", SQUARE["geometry"])


def test_a_wrong_feature_is_named_and_nothing_is_taken(tmp_path: Path, shops: Path):
    wrong = SQUARE | {"id": "bad", "geometry": {"type": "Point", "coordinates": [200, 0]}}
    shops.write_text(json.dumps({"type": "FeatureCollection", "features": [SQUARE, wrong]}))
    run = chaland("geofences", "import", str(shops), data_dir=tmp_path)
    assert run.returncode == 2
    assert "features[1] (bad).geometry.coordinates" in run.stderr
    assert "Traceback" not in run.stderr
    assert json.loads(chaland("geofences", "export", data_dir=tmp_path).stdout)["features"] == []


DOOR = {
    "uuid": "f7826da6-4fa2-4e98-8024-bc5b71e0893e",
    "major": 101,
    "minor": 1,
    "tx_power": -59,
    "lon": 2.0005,
    "lat": 48.0005,
    "geofence": "square",
}


def test_beacons_go_in_and_come_out_the_same(tmp_path: Path, shops: Path):
    chaland("geofences", "import", str(shops), data_dir=tmp_path)
    file, out = tmp_path / "beacons.json", tmp_path / "out.json"
    file.write_text(json.dumps([DOOR, DOOR | {"minor": 2, "id": "till"}]))
    assert chaland("beacons", "import", str(file), data_dir=tmp_path).stdout == "2 beacons imported\n"
    assert chaland("beacons", "export", str(out), data_dir=tmp_path).returncode == 0
    door, till = json.loads(out.read_text())
    assert door == DOOR | {"id": f"{DOOR['uuid']}:101:1", "path_loss": 2.7}
    assert (till["id"], till["minor"]) == ("till", 2)
    assert chaland("beacons", "import", str(out), data_dir=tmp_path).stdout == "2 beacons imported\n"


def test_a_wrong_beacon_is_named_and_none_is_taken(tmp_path: Path, shops: Path):
    chaland("geofences", "import", str(shops), data_dir=tmp_path)
    file = tmp_path / "beacons.json"
    file.write_text(json.dumps([DOOR, DOOR | {"major": "x"}, DOOR | {"minor": 3, "geofence": "nowhere"}]))
    run = chaland("beacons", "import", str(file), data_dir=tmp_path)
    assert run.returncode == 2
    assert "[1].major" in run.stderr
    assert "[2].geofence" in run.stderr
    file.write_text("{")
    run = chaland("beacons", "import", str(file), data_dir=tmp_path)
    assert (run.returncode, "beacons.json is not JSON" in run.stderr) == (2, True)
    assert "Traceback" not in run.stderr
    assert json.loads(chaland("beacons", "export", data_dir=tmp_path).stdout) == []


def test_replay_tells_a_visit(tmp_path: Path, shops: Path):
    pings = tmp_path / "pings.jsonl"
    rows = [
        {
            "device": "a",
            "at": 1000 + 10 * n,
            "received_at": 1001 + 10 * n,
            "lat": 48.0005,
            "lon": lon,
            "accuracy": 8,
            "seq": n,
        }
        for n, lon in enumerate([2.01] * 5 + [2.0005] * 15 + [2.01] * 10)
    ]
    pings.write_text("\n".join(json.dumps(row) for row in rows))
    out = tmp_path / "events.jsonl"
    run = chaland(
        "replay", "--geofences", str(shops), "--pings", str(pings), "--out", str(out), data_dir=tmp_path
    )
    assert run.returncode == 0, run.stderr
    events = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(event["kind"], event["geofence"]) for event in events] == [
        (kind, "square") for kind in ("enter", "dwell", "exit")
    ]
    assert all(set(event) == {"device", "kind", "geofence", "at", "emitted"} for event in events)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2"),
        ('{"device":"a"}', "line 2"),
        ('{"device":"a","at":1,"received_at":1,"lat":1,"lon":1,"accuracy":1}', "goes back"),
    ],
)
def test_replay_names_the_line_that_is_wrong(tmp_path: Path, shops: Path, line: str, words: str):
    pings = tmp_path / "pings.jsonl"
    good = {"device": "a", "at": 5, "received_at": 5, "lat": 48, "lon": 2, "accuracy": 8}
    pings.write_text(json.dumps(good) + "\n" + line + "\n")
    run = chaland("replay", "--geofences", str(shops), "--pings", str(pings), data_dir=tmp_path)
    assert run.returncode == 2
    assert words in run.stderr
    assert "Traceback" not in run.stderr


def test_texts_are_classified_line_by_line(tmp_path: Path):
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "Arrêt svp", "n": 1}\n\n{"text": "quel est le prix du pain ?"}\n')
    run = chaland("consent", "classify", str(texts), data_dir=tmp_path)
    assert [json.loads(line) for line in run.stdout.splitlines()] == [
        {"text": "Arrêt svp", "n": 1, "verdict": "opt_out"},
        {"text": "quel est le prix du pain ?", "verdict": "other"},
    ]


def test_keys_are_made_listed_and_revoked(tmp_path: Path):
    made = chaland("keys", "create", "shop app", "--scope", "ingest", data_dir=tmp_path)
    key_id, secret = made.stdout.split()
    assert secret.startswith(f"ck_{key_id}_")
    listed = chaland("keys", "list", data_dir=tmp_path).stdout
    assert "shop app" in listed
    assert "never used" in listed
    assert secret not in listed
    assert chaland("keys", "revoke", key_id, data_dir=tmp_path).returncode == 0
    assert chaland("keys", "revoke", key_id, data_dir=tmp_path).returncode == 2
    assert chaland("keys", "create", "x", "--scope", "everything", data_dir=tmp_path).returncode == 2


def test_the_vaults_keys_are_made_rotated_and_retired(tmp_path: Path):
    assert chaland("vault", "retire", data_dir=tmp_path).stdout == "no key has been rotated out\n"
    file = tmp_path / "vault.keys"
    first = file.read_text()
    assert "not used yet" in chaland("vault", "prepare", data_dir=tmp_path).stdout
    rotated = chaland("vault", "rotate", data_dir=tmp_path)
    assert (rotated.returncode, rotated.stdout[:6]) == (0, "0 rows")
    assert file.read_text().startswith(first)
    assert chaland("vault", "retire", data_dir=tmp_path).stdout.startswith("destroyed: m-")
    assert sum(not line.startswith("#") for line in file.read_text().splitlines()) == 3
    file.chmod(0o640)
    assert "vault.keys can be read by others" in chaland("check", data_dir=tmp_path).stdout
    file.write_text(first)
    missing = chaland("vault", "rotate", data_dir=tmp_path)
    assert missing.returncode == 2
    assert "the vault's key " in missing.stderr
    assert "Traceback" not in missing.stderr


def test_check_tells_what_answers_and_what_does_not(tmp_path: Path):
    good = chaland("check", data_dir=tmp_path)
    assert good.returncode == 0, good.stdout
    assert "live store: embedded answers, Valkey" in good.stdout
    bad = chaland_process(
        "check",
        data_dir=tmp_path,
        CHALAND_VALKEY_URL="redis://:secret@127.0.0.1:1/0",
        CHALAND_DATABASE_URL="postgresql://u:secret@127.0.0.1:1/x",
    )
    assert bad.returncode == 1
    assert bad.stdout.count("FAILS") == 2
    assert "secret" not in bad.stdout + bad.stderr


def test_a_wrong_setting_is_told_in_words(tmp_path: Path):
    run = chaland("check", data_dir=tmp_path, CHALAND_PARTITIONS="many")
    assert (run.returncode, run.stderr.strip()) == (2, "CHALAND_PARTITIONS: must be a whole number")


def test_a_story_that_is_missed_exits_1(tmp_path: Path):
    story = tmp_path / "a.story"
    story.write_text("09:00  ana allows location\n09:01  ana enters bakery -> sms to ana: no\n")
    run = chaland("story", str(story), data_dir=tmp_path)
    assert run.returncode == 1
    assert "MISSED" in run.stdout


def test_nearness_needs_to_know_where_phones_were(tmp_path: Path):
    fences, pings = tmp_path / "fences.geojson", tmp_path / "pings.jsonl"
    fences.write_text('{"type": "FeatureCollection", "features": []}')
    pings.write_text("")
    run = chaland("nearness", "--geofences", str(fences), "--pings", str(pings), data_dir=tmp_path)
    assert (run.returncode, run.stderr.strip()) == (2, "one of --tracks and --truth is needed")


def test_texts_in_doubt_are_listed_and_settled_by_their_id(tmp_path: Path):
    assert chaland("consent", "reviews", data_dir=tmp_path).stdout == ""
    unknown = chaland("consent", "settle", "SM1", "confirm", data_dir=tmp_path)
    assert (unknown.returncode, "no text with this id" in unknown.stderr) == (2, True)
    assert chaland("consent", "settle", "SM1", "perhaps", data_dir=tmp_path).returncode == 2
