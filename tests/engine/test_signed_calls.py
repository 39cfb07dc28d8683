"""Calls that an app's server signs: heard if they are, and otherwise a 401 whatever they hold."""

import json
from base64 import b64decode

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as NoConnection

from consent.standard_webhook import code
from engine.doors.keys import Scope
from engine.doors.signed_call import TOLERANCE_SECONDS, secret_text, shared_key, signed_id
from engine.link_key import link_keys
from tests.conftest import MONDAY_NINE
from tests.engine.test_worker import LAT, LON, town  # noqa: F401  # a fixture

NOW = MONDAY_NINE
AT = int(NOW.timestamp())
KEY = b"k" * 32
BODY = b'{"pings":[]}'


def headers(call="call-1", at=AT, body=BODY, key=KEY):
    return {
        b"webhook-id": call.encode(),
        b"webhook-timestamp": str(at).encode(),
        b"webhook-signature": code(key, call, at, body).encode(),
    }


def test_a_signed_call_has_its_id():
    assert signed_id(headers(), BODY, [KEY], NOW) == "call-1"
    assert signed_id(headers(), BODY, [b"new", KEY], NOW) == "call-1", "two secrets, while one changes"
    several = headers() | {b"webhook-signature": b"v1a,x v1,AAAA " + headers()[b"webhook-signature"]}
    assert signed_id(several, BODY, [KEY], NOW) == "call-1"


def test_it_is_signed_as_the_standard_has_it():
    """The example of the specification, github.com/standard-webhooks/standard-webhooks, its own test vector."""
    key = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    told = code(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert told == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": b"another"},
        {"body": BODY + b" "},
        {"at": AT - TOLERANCE_SECONDS - 1},
        {"at": AT + TOLERANCE_SECONDS + 1},
        {"call": ""},
        {"call": "x" * 256},
    ],
)
def test_what_is_wrong_has_none(wrong):
    assert signed_id(headers(**wrong), BODY, [KEY], NOW) is None


@pytest.mark.parametrize("missing", list(headers()))
def test_nothing_may_be_missing_or_another_s(missing):
    good = headers()
    assert signed_id({name: good[name] for name in good if name != missing}, BODY, [KEY], NOW) is None
    for other in (b"", b"x", b"\xff", b"1", "é".encode(), b"-1", b"9" * 40, "٣".encode()):
        assert signed_id(good | {missing: other}, BODY, [KEY], NOW) is None


@given(st.dictionaries(st.sampled_from(list(headers())), st.binary(max_size=80)), st.binary(max_size=80))
def test_whatever_comes_is_no_error(shown, body):
    assert signed_id(shown, body, [KEY], NOW) is None


@pytest.fixture
def database_url(sqlite_pattern, tmp_path):
    return f"sqlite:///{tmp_path / 'records.sqlite'}"


@pytest.fixture
def app(engine):
    """An app's key, and how its server calls."""
    key, _ = engine.keys.create("shop", [Scope.INGEST])
    shared = shared_key(link_keys(engine.settings)[0], key.id)
    client = TestClient(engine.web(), base_url="https://offers.example.org")

    def call(body, call="call-1", at=AT, app=key.id, key=shared, **changes):
        shown = {name.decode(): value for name, value in headers(call, at, body, key).items()} | changes
        return client.post(f"/v1/apps/{app}/pings", content=body, headers=shown)

    call.id = key.id
    with client:
        yield call


def pings():
    spot = {"device": "ana-phone", "lat": LAT, "lon": LON, "accuracy": 8}
    return json.dumps({"pings": [spot | {"at": AT - age} for age in (20, 10, 0)]}).encode()


def test_a_signed_call_is_taken_in_once(app, engine, town):  # noqa: F811
    first, again = app(pings()), app(pings())
    assert (first.status_code, first.json()["accepted"]) == (202, 3)
    assert (again.status_code, again.json()) == (202, {"accepted": 0, "rejected": [], "repeated": True})
    assert engine.log.depth() == 1
    assert app(pings(), call="call-2").json()["accepted"] == 3


def test_a_call_that_was_refused_may_come_again_put_right(app, town):  # noqa: F811
    assert app(b"{}").status_code == 422
    assert app(pings()).json()["accepted"] == 3


def test_every_call_that_is_not_signed_gets_the_same_answer(app, engine, town):  # noqa: F811
    marketer, _ = engine.keys.create("marketer", [Scope.MARKETING])
    theirs = shared_key(link_keys(engine.settings)[0], marketer.id)
    answers = [
        app(pings(), key=b"wrong"),
        app(pings(), app="nobody"),
        app(pings(), app=marketer.id, key=theirs),
        app(pings(), at=AT - 301),
        app(b"\xff{", key=b"wrong"),
    ]
    engine.keys.revoke(app.id)
    answers.append(app(pings(), call="call-3"))
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


def test_an_app_changes_from_one_key_to_another_at_the_same_address(app, engine, town):  # noqa: F811
    master = link_keys(engine.settings)[0]
    second, _ = engine.keys.create("shop, new", [Scope.INGEST], app.id)
    till, _ = engine.keys.create("till", [Scope.TILL])
    new = shared_key(master, second.id)
    assert app(pings(), call="old").status_code == 202
    assert app(pings(), call="new", key=new).status_code == 202
    assert app(pings(), call="new", key=new).json()["repeated"]
    assert app(pings(), call="theirs", key=shared_key(master, till.id)).status_code == 401
    assert app(pings(), call="own", app=second.id, key=new).status_code == 401
    engine.keys.revoke(app.id)
    assert app(pings(), call="late").status_code == 401
    assert app(pings(), call="newer", key=new).status_code == 202
    engine.keys.close()
    used = {key.id: key.last_used_at for key in engine.keys.all()}
    assert used == {app.id: NOW, second.id: NOW, till.id: None}


def test_an_app_cannot_touch_the_devices_of_another(app, engine, town):  # noqa: F811
    rival, shown = engine.keys.create("rival", [Scope.INGEST], devices="rival:")
    theirs = {"app": rival.id, "key": shared_key(link_keys(engine.settings)[0], rival.id)}
    nobody = pings().replace(b"ana-phone", b"nobody-phone")
    known, strange = app(pings(), call="a", **theirs), app(nobody, call="b", **theirs)
    assert (known.status_code, known.text) == (strange.status_code, strange.text) == (422, known.text)
    assert known.json()["code"] == "unknown_device"
    client = TestClient(engine.web(), headers={"Authorization": f"Bearer {shown}"})
    for kind, body in (("pings", pings()), ("pings", pings())):  # the second time the key is known already
        assert client.post(f"/v1/{kind}", content=body).text == known.text
    assert engine.log.depth() == 0
    own = json.loads(pings())["pings"]
    mixed = {"pings": [own[0], own[1] | {"device": "rival:1"}]}
    answer = app(json.dumps(mixed).encode(), call="c", **theirs)
    assert [each["code"] for each in answer.json()["rejected"]] == ["unknown_device"] * 2
    assert app(pings()).json()["accepted"] == 3


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(st.binary(max_size=60), st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=60))
def test_a_malformed_call_is_a_401(app, body, call, at, shown):
    clean = [raw.translate(None, b"\r\n\0").strip() for raw in (call, at, shown)]
    answer = app(
        body, **dict(zip(("webhook-id", "webhook-timestamp", "webhook-signature"), clean, strict=True))
    )
    assert answer.status_code == 401


def test_without_the_store_of_ids_nothing_is_accepted(app, engine, town, monkeypatch):  # noqa: F811
    def away(*_args, **_options):
        raise NoConnection("gone")

    monkeypatch.setattr(engine.live.client, "set", away)
    assert app(pings()).status_code == 503
    assert engine.log.depth() == 0


def test_the_secret_is_written_as_the_libraries_take_it():
    text = secret_text(b"master", "4f1c2a9b")
    assert b64decode(text.removeprefix("whsec_")) == shared_key(b"master", "4f1c2a9b")
    assert text != secret_text(b"master", "4f1c2a9c")
