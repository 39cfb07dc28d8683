"""The two doors that Twilio calls, before whatever may come: 403 for what is not signed, and never a 500."""

from dataclasses import replace
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from engine.app import Engine

PATHS = ("/v1/twilio/inbound", "/v1/twilio/status")
FORM = {"MessageSid": "SM1", "From": "+33639980001", "Body": "hm", "MessageStatus": "sent", "New": ""}
SECRET = "webhook-secret"
TYPE = "application/x-www-form-urlencoded"

paths = st.sampled_from(PATHS)
header_bytes = st.binary(max_size=60).map(lambda raw: raw.translate(None, b"\r\n\0").strip())
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
several = settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@pytest.fixture
def database_url(sqlite_pattern, tmp_path):
    return f"sqlite:///{tmp_path / 'records.sqlite'}"


def signed(path, form, key="twilio-token", algorithm=None):
    url = f"https://offers.example.org{path}"
    return RequestValidator(key).compute_signature(url, form, algorithm)


def post(client: TestClient, path, form, signature, **headers):
    given_headers = {"Content-Type": TYPE, "X-Twilio-Signature": signature, **headers}
    return client.post(path, content=urlencode(form), headers=given_headers)


@several
@given(paths, header_bytes, header_bytes, st.binary(max_size=200))
def test_whatever_comes_unsigned_is_refused_and_never_a_500(client, path, signature, kind, body):
    for content_type in (kind, TYPE.encode(), b"application/json", b"multipart/form-data; boundary=x"):
        headers = [(b"Content-Type", content_type), (b"X-Twilio-Signature", signature)]
        answer = client.post(path, content=body, headers=headers)
        assert answer.status_code == 403, answer.text


@several
@given(paths, st.dictionaries(texts, texts, max_size=6))
def test_whatever_is_signed_is_answered_and_never_a_500(client, path, extra):
    form = FORM | extra
    answer = post(client, path, form, signed(path, form))
    assert answer.status_code in (200, 204, 422), answer.text


@pytest.mark.parametrize("path", PATHS)
def test_where_a_shared_secret_is_set_no_header_brings_the_old_way_back(settings, clock, path):
    engine = Engine(replace(settings, twilio_webhook_secret=f"next,{SECRET}"), clock)
    engine.open()
    try:
        with TestClient(engine.web(), base_url="https://offers.example.org") as client:
            strong = signed(path, FORM, SECRET, "HMAC_SHA256")
            assert post(client, path, FORM, strong).status_code in (200, 204)
            for downgrade in ("algorithm=HMAC_SHA1", "key=x,algorithm=HMAC_SHA256", "", "algorithm=none"):
                said = {"X-Twilio-Webhooks-Signature-Settings": downgrade}
                assert post(client, path, FORM, strong, **said).status_code in (200, 204)
                for weak in (signed(path, FORM), signed(path, FORM, SECRET)):
                    assert post(client, path, FORM, weak, **said).status_code == 403
    finally:
        engine.close()
