import gzip
import json

import msgspec
import pytest
from fastapi.testclient import TestClient

from engine.app import Engine
from engine.clock import SetClock
from engine.live import gate_key, partition_of
from engine.signals import Ping, Sighting

PING = {"device": "ana-phone", "lat": 48.8353, "lon": 2.241, "accuracy": 12}


TILL = {"namespace": "edd1ebeac04e5defa017", "instance": "0bdb87539b67"}
HEARD = {"device": "ana-phone", "rssi": -71, "beacon": TILL, "tx_power": -59}
KINDS = [("pings", PING), ("sightings", HEARD)]
both_kinds = pytest.mark.parametrize(("kind", "signal"), KINDS, ids=[kind for kind, _ in KINDS])


@pytest.fixture
def ana(client: TestClient) -> TestClient:
    """A client whose shopper ana allows location; bob has a phone and allows nothing."""
    for who in ("ana", "bob"):
        client.put(
            f"/v1/subjects/{who}", json={"locale": "fr", "devices": [{"device": f"{who}-phone"}]}
        ).raise_for_status()
    grant(client, "ana")
    return client


def grant(client: TestClient, who: str, action: str = "grant") -> None:
    entry = {"purpose": "location", "action": action, "source": "app", "text_version": "v1"}
    client.post(f"/v1/subjects/{who}/consents", json=entry).raise_for_status()


def at(clock: SetClock, seconds: float = 0) -> float:
    return clock().timestamp() + seconds


def stored(engine: Engine) -> int:
    return engine.log.depth()


@both_kinds
def test_each_signal_of_a_body_gets_its_own_verdict(
    ana: TestClient, engine: Engine, clock: SetClock, kind, signal
):
    signals = [
        signal | {"at": at(clock)},
        signal | {"at": at(clock), "device": "bob-phone"},
        signal | {"at": at(clock), "device": "stranger"},
        signal | {"at": at(clock, -901)},
        signal | {"at": at(clock, 121)},
    ]
    answer = ana.post(f"/v1/{kind}", json={kind: signals})
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    assert [(each["index"], each["code"]) for each in answer.json()["rejected"]] == [
        (1, "no_consent"),
        (2, "unknown_device"),
        (3, "too_old"),
        (4, "in_future"),
    ]
    assert stored(engine) == 1


def test_an_advertisement_of_no_beacon_is_told_apart(ana: TestClient, engine: Engine, clock: SetClock):
    """A gateway sends what it hears; thermometers and headphones are no reason to refuse the rest."""
    heard = {"device": "ana-phone", "rssi": -71, "at": at(clock)}
    frame = "0303aafe1516aafe00e7edd1ebeac04e5defa0170bdb87539b670000"
    several = [heard | {"advert": frame}, heard | {"advert": "020106"}, heard | {"at": 1, "advert": "020106"}]
    answer = ana.post("/v1/sightings", json={"sightings": several})
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    codes = [(each["index"], each["code"]) for each in answer.json()["rejected"]]
    assert codes == [(1, "no_beacon"), (2, "too_old")]
    alone = ana.post("/v1/sightings", json={"sightings": several[1:2]})
    assert (alone.status_code, alone.json()["accepted"]) == (202, 0)
    assert stored(engine) == 1


@both_kinds
def test_without_consent_nothing_but_a_counter_remains(ana: TestClient, engine: Engine, clock, kind, signal):
    answer = ana.post(f"/v1/{kind}", json={kind: [signal | {"at": at(clock), "device": "bob-phone"}]})
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 0
    assert stored(engine) == 0
    assert f'chaland_{kind}_rejected_total{{reason="no_consent"}}' in ana.get("/metrics").text


@both_kinds
def test_what_is_accepted_is_counted_by_kind(ana: TestClient, clock: SetClock, kind, signal):
    def counted(name: str) -> float:
        lines = ana.get("/metrics").text.splitlines()
        return float(
            next(line for line in lines if line.startswith(f"chaland_{name}_accepted_total ")).split()[1]
        )

    other = "sightings" if kind == "pings" else "pings"
    before = counted(kind), counted(other)
    ana.post(f"/v1/{kind}", json={kind: [signal | {"at": at(clock)}] * 2}).raise_for_status()
    assert (counted(kind), counted(other)) == (before[0] + 2, before[1])


@both_kinds
def test_a_body_of_unknown_devices_names_the_field(ana: TestClient, engine: Engine, clock, kind, signal):
    answer = ana.post(f"/v1/{kind}", json={kind: [signal | {"at": at(clock), "device": "stranger"}]})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == f"{kind}[0].device"
    assert (answer.json()["code"], answer.json()["accepted"]) == ("unknown_device", 0)
    assert stored(engine) == 0


@both_kinds
def test_a_withdrawal_that_was_answered_is_in_force(ana: TestClient, engine: Engine, clock, kind, signal):
    ana.post(f"/v1/{kind}", json={kind: [signal | {"at": at(clock)}]})
    grant(ana, "ana", "withdraw")
    answer = ana.post(f"/v1/{kind}", json={kind: [signal | {"at": at(clock, 1)}]})
    assert answer.json()["rejected"][0]["code"] == "no_consent"
    engine.settle()
    assert stored(engine) == 0
    assert not list(
        engine.live.client.scan_iter("*:dev:*")
    )  # what was accepted before is not processed either


def test_after_erasure_the_device_is_unknown(ana: TestClient, engine: Engine, clock: SetClock):
    ana.delete("/v1/subjects/ana").raise_for_status()
    answer = ana.post("/v1/pings", json={"pings": [PING | {"at": at(clock)}]})
    assert answer.json()["code"] == "unknown_device"
    assert b"ana-phone" not in [
        name for partition in range(4) for name in engine.live.client.hkeys(f"{{p{partition:02d}}}:gate")
    ]


def test_the_gate_is_rebuilt_from_the_ledger(ana: TestClient, engine: Engine, clock: SetClock):
    engine.live.client.flushall()
    ghost_gate = gate_key(partition_of("ghost-phone", engine.live.partitions))
    engine.live.client.hset(ghost_gate, "ghost-phone", "1")
    assert engine.gate.rebuild() == 2
    answer = ana.post(
        "/v1/pings",
        json={"pings": [PING | {"at": at(clock)}, PING | {"at": at(clock), "device": "bob-phone"}]},
    )
    assert answer.json()["accepted"] == 1
    assert engine.live.client.hget(ghost_gate, "ghost-phone") is None


def test_gzip_is_understood_and_a_bomb_is_not_unpacked(ana: TestClient, clock: SetClock):
    body = gzip.compress(json.dumps({"pings": [PING | {"at": at(clock)}]}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert ana.post("/v1/pings", content=body, headers=headers).json()["accepted"] == 1
    bomb = gzip.compress(b" " * 50_000_000)
    assert ana.post("/v1/pings", content=bomb, headers=headers).status_code == 413
    assert ana.post("/v1/pings", content=b"no gzip", headers=headers).status_code == 400
    assert ana.post("/v1/pings", content=body[:-9], headers=headers).status_code == 400


@pytest.mark.parametrize(
    ("content", "status", "field"),
    [
        (b'{"pings": [{"device": ', 400, None),
        (b'{"pings": [{"device":"ana-phone","at":1,"lat":NaN,"lon":2,"accuracy":1}]}', 422, "pings[0].lat"),
        (b'{"pings": [{"device":"ana-phone","at":1,"lat":91,"lon":2,"accuracy":1}]}', 422, "pings[0].lat"),
        (b'{"pings": [{"device":"ana-phone","at":1,"lat":"48","lon":2,"accuracy":1}]}', 422, "pings[0].lat"),
        (
            b'{"pings": [{"device":"ana-phone","at":1,"lat":1,"lon":2,"accuracy":1,"consent":true}]}',
            422,
            "pings[0].consent",
        ),
        (b'{"pings": [{"at":1,"lat":1,"lon":2,"accuracy":1}]}', 422, "pings[0].device"),
        (b" " * 50_000_000, 413, None),
        (b"", 400, None),
    ],
    ids=["cut off", "NaN", "out of range", "numeric string", "unknown field", "missing", "50 MB", "empty"],
)
def test_bad_input_gets_the_right_problem(client: TestClient, engine: Engine, content, status, field):
    answer = client.post("/v1/pings", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert [each["field"] for each in answer.json().get("errors", [])] == ([field] if field else [])
    assert stored(engine) == 0


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        (b"", 400, None),
        (b'{"sightings": [{"device": ', 400, None),
        (b'"rssi": NaN', 422, "sightings[1].rssi"),
        (b'"rssi": 21', 422, "sightings[1].rssi"),
        (b'"rssi": "-71"', 422, "sightings[1].rssi"),
        (b'"consent": true, "rssi": -71', 422, "sightings[1].consent"),
        (b'"rssi": -71, "rssi": -30', 422, "sightings[1].rssi"),
        (b'"rssi": -71, "tx_power": 1e999', 422, "sightings[1].tx_power"),
        (b'"tx_power": -59', 422, "sightings[1].rssi"),
    ],
)
def test_one_bad_sighting_refuses_the_body_and_names_the_field(
    ana: TestClient, engine: Engine, clock: SetClock, change: bytes, status, field
):
    good = json.dumps(
        {key: value for key, value in HEARD.items() if key != "tx_power"} | {"at": at(clock)}
    ).encode()
    bad = good.replace(b'"rssi": -71', change)
    content = b'{"sightings": [' + good + b", " + bad + b"]}" if field else change
    answer = ana.post("/v1/sightings", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert [each["field"] for each in answer.json().get("errors", [])] == ([field] if field else [])
    assert stored(engine) == 0


def test_sightings_have_the_limits_of_pings(ana: TestClient, clock: SetClock):
    heard = HEARD | {"at": at(clock)}
    assert ana.post("/v1/sightings", json={"sightings": [heard] * 1001}).status_code == 422
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    body = gzip.compress(json.dumps({"sightings": [heard] * 1000}).encode())
    assert ana.post("/v1/sightings", content=body, headers=headers).json()["accepted"] == 1000
    bomb = gzip.compress(b" " * 50_000_000)
    assert ana.post("/v1/sightings", content=bomb, headers=headers).status_code == 413


def test_the_document_says_what_is_understood(client: TestClient):
    paths = client.get("/openapi.json").json()["paths"]
    for kind, struct in (("pings", Ping), ("sightings", Sighting)):
        operation = paths[f"/v1/{kind}"]["post"]
        content = operation["requestBody"]["content"]["application/json"]
        said = content["schema"]["properties"][kind]["items"]
        fields = msgspec.structs.fields(struct)
        assert set(said["properties"]) == {field.name for field in fields}
        assert set(said["required"]) == {field.name for field in fields if field.required}
        msgspec.convert(content["example"][kind], list[struct])
        assert "202" in operation["responses"]


@pytest.mark.parametrize("kind", ["pings", "sightings"])
@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer wrong", "Basic dGVzdDp0ZXN0", "Bearer ck_00000000_x", "Bearer é"]
)
def test_a_wrong_key_is_refused_whatever_the_body(client: TestClient, header: str, kind: str):
    answer = client.post(f"/v1/{kind}", content=b"{", headers={"Authorization": header.encode()})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_key_without_the_scope_is_refused(client: TestClient, engine: Engine):
    from engine.doors.keys import Scope

    _, secret = engine.keys.create("page", [Scope.MARKETING])
    headers = {"Authorization": f"Bearer {secret}"}
    for kind, signal in KINDS:
        assert client.post(f"/v1/{kind}", json={kind: [signal]}, headers=headers).status_code == 403
    assert client.get("/v1/campaigns", headers=headers).status_code == 200
    assert client.get("/v1/subjects/ana", headers=headers).status_code == 403


def test_a_revoked_key_is_refused_at_once(client: TestClient, engine: Engine):
    from engine.doors.keys import Scope

    key, secret = engine.keys.create("app", [Scope.MARKETING])
    headers = {"Authorization": f"Bearer {secret}"}
    assert client.get("/v1/campaigns", headers=headers).status_code == 200
    assert engine.keys.revoke(key.id)
    assert client.get("/v1/campaigns", headers=headers).status_code == 401
    assert not engine.keys.revoke(key.id)


def test_a_full_log_says_503_and_when_to_come_back(ana: TestClient, engine: Engine, clock: SetClock):
    engine.log._limit_entries = 1
    for expected in (202, 503):
        answer = ana.post("/v1/pings", json={"pings": [PING | {"at": at(clock)}]})
        assert answer.status_code == expected
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["rejected"][0]["code"] == "log_full"
