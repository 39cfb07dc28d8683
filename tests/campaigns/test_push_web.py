"""Web Push against the local provider, over the client that keeps us out of our own network."""

import json
from contextlib import closing
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from campaigns.delivery.channels import web_push_crypt
from campaigns.delivery.channels.push import Came, Notice, collapse_key
from campaigns.delivery.channels.push_web import Unposted, VapidKey, WebPush
from campaigns.delivery.channels.web_push_crypt import TEXT_LIMIT_BYTES, encrypt, in_base64url, unpadded
from consent.push import Environment, PushAddress, PushKind, push_address
from engine.destination import Destinations, Targets
from engine.outbound import Outbound
from engine.provider.fault import Fault
from engine.provider.provider import Provider
from engine.push_apps import InvalidPushApps, PushApps, posting
from tests.conftest import MONDAY_NINE

CURVE = ec.SECP256R1()


@pytest.fixture(scope="module")
def shared():
    with Provider() as opened:
        yield opened


@pytest.fixture
def provider(shared):
    shared.notifications.forget()
    return shared


@pytest.fixture(scope="module")
def outbound():
    opened = Outbound(Destinations(Targets.ANY), timeout_seconds=2)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def key():
    return VapidKey("mailto:offers@example.org", ec.generate_private_key(CURVE))


@pytest.fixture
def service(key, outbound, clock):
    return WebPush(key, posting(outbound), clock)


def browser(provider, key, name="firefox-1"):
    raw = {"kind": "webpush", **provider.web_push.subscribe(name, key.public)}
    return push_address("row", MONDAY_NINE, raw)


def notice(text="Fresh bread until ten", *, silent=False):
    return Notice("0" * 32, "bread", "Bakery", text, collapse_key("bread"), 900, silent)


def test_the_encryption_is_that_of_the_rfcs_own_example():
    """RFC 8291, section 5 and appendix A."""
    ours = ec.derive_private_key(
        int.from_bytes(unpadded("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big"), CURVE
    )
    body = encrypt(
        b"When I grow up, I want to be a watermelon",
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "BTBZMqHH6r4Tts7J_aSIgg",
        ours=ours,
        salt=unpadded("DGv6ra1nlYgDCS1FRnbzlw"),
    )
    assert in_base64url(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8w"
        "EqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_a_body_is_no_longer_than_every_service_takes_and_never_twice_the_same():
    theirs = in_base64url(web_push_crypt.public_bytes(ec.generate_private_key(CURVE).public_key()))
    auth = in_base64url(b"0" * 16)
    assert len(encrypt(b"x" * TEXT_LIMIT_BYTES, theirs, auth)) == 4096
    assert encrypt(b"x", theirs, auth) != encrypt(b"x", theirs, auth)
    with pytest.raises(ValueError, match="at most"):
        encrypt(b"x" * (TEXT_LIMIT_BYTES + 1), theirs, auth)


def test_a_browser_reads_the_offer_and_a_newer_one_takes_its_place(provider, key, service):
    address = browser(provider, key)
    assert service.push(address, notice("Bread é☕ until ten")).came is Came.TAKEN
    assert service.push(address, notice("Bread until noon", silent=True)).came is Came.TAKEN
    [shown] = provider.notifications.shown()
    assert (shown.title, shown.body, shown.silent, shown.valid_seconds) == (
        "Bakery",
        "Bread until noon",
        True,
        900,
    )
    assert provider.notifications.received == 2


def test_a_browser_that_is_gone_is_dead(provider, key, service):
    address = browser(provider, key)
    provider.web_push.unsubscribe("firefox-1")
    assert (service.push(address, notice()).came, provider.notifications.shown()) == (Came.DEAD, [])


@pytest.mark.parametrize(
    ("fault", "came"),
    [
        (Fault(404), Came.DEAD),
        (Fault(410), Came.DEAD),
        (Fault(401), Came.SHUT_OUT),
        (Fault(403), Came.SHUT_OUT),
        (Fault(429, retry_after_seconds=30), Came.RETRY),
        (Fault(413), Came.REFUSED),
        (Fault(400), Came.REFUSED),
        (Fault(307), Came.REFUSED),
        (Fault(500), Came.UNKNOWN),
        (Fault(503), Came.RETRY),
        (Fault(drop=True, accept=True), Came.UNKNOWN),
        (Fault(hang=True), Came.UNKNOWN),
    ],
)
def test_each_answer_is_told_apart(provider, key, service, fault, came):
    provider.fail_next(fault)
    result = service.push(browser(provider, key), notice())
    assert result.came is came
    assert result.retry_after_seconds == (30 if fault.retry_after_seconds else None)
    assert result.busy is (fault.status == 429)


def test_a_page_that_subscribed_with_another_key_shuts_us_out_and_ends_nothing(
    provider, key, service, clock, outbound
):
    stranger = VapidKey("mailto:x@example.org", ec.generate_private_key(CURVE))
    assert (
        WebPush(stranger, posting(outbound), clock).push(browser(provider, key), notice()).came
        is Came.SHUT_OUT
    )


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://127.0.0.1/push",
        "https://[::1]/push",
        "https://169.254.169.254/latest/meta-data",
        "https://2130706433/push",
        "https://10.0.0.8:8443/push",
        "http://push.example.org/x",
        "https://push.example.org:22/x",
        "https://user:pass@push.example.org/x",
    ],
)
def test_no_endpoint_reaches_our_own_network(key, clock, endpoint):
    theirs = in_base64url(web_push_crypt.public_bytes(ec.generate_private_key(CURVE).public_key()))
    value = {"endpoint": endpoint, "p256dh": theirs, "auth": in_base64url(b"0" * 16)}
    address = PushAddress("row", None, PushKind.WEBPUSH, "default", Environment.PRODUCTION, value)
    outbound = Outbound(Destinations(), resolve=lambda _host, _port: ["127.0.0.1"])
    try:
        result = WebPush(key, posting(outbound), clock).push(address, notice())
    finally:
        outbound.close()
    assert (result.came, result.code) == (Came.REFUSED, "refused_url")


def test_a_name_that_leads_home_is_not_called(key, clock):
    theirs = in_base64url(web_push_crypt.public_bytes(ec.generate_private_key(CURVE).public_key()))
    value = {"endpoint": "https://push.example.org/x", "p256dh": theirs, "auth": in_base64url(b"0" * 16)}
    address = PushAddress("row", None, PushKind.WEBPUSH, "default", Environment.PRODUCTION, value)
    outbound = Outbound(Destinations(), resolve=lambda _host, _port: ["93.184.215.14", "10.0.0.1"])
    try:
        result = WebPush(key, posting(outbound), clock).push(address, notice())
    finally:
        outbound.close()
    assert (result.came, result.code) == (Came.REFUSED, "refused_address")


def test_a_token_is_for_one_service_and_renewed_in_time(key, clock):
    sent = []

    def post(url, _body, headers):
        sent.append((url, headers["Authorization"].split("t=")[1].split(",")[0]))
        raise Unposted("no_connection", heard=False, permanent=False)

    service = WebPush(key, post, clock)
    theirs = in_base64url(web_push_crypt.public_bytes(ec.generate_private_key(CURVE).public_key()))

    def push(host):
        value = {"endpoint": f"https://{host}/x", "p256dh": theirs, "auth": in_base64url(b"0" * 16)}
        address = PushAddress("row", None, PushKind.WEBPUSH, "default", Environment.PRODUCTION, value)
        assert service.push(address, notice()).came is Came.RETRY

    push("a.example")
    push("a.example")
    push("b.example")
    clock.advance(hours=7)
    push("a.example")
    tokens = [token for _, token in sent]
    assert (tokens[0] == tokens[1], len(set(tokens))) == (True, 3)
    told = jwt.decode(tokens[3], options={"verify_signature": False})
    assert told["aud"] == "https://a.example"
    assert told["exp"] == int((clock() + timedelta(hours=12)).timestamp())


@pytest.mark.parametrize(
    ("private", "subject", "named"),
    [
        (ec.generate_private_key(ec.SECP384R1()), "mailto:x@example.org", "P-256"),
        (ec.generate_private_key(CURVE), "x@example.org", "mailto"),
    ],
)
def test_a_key_that_push_services_would_not_take_is_refused(
    tmp_path, clock, outbound, private, subject, named
):
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "vapid.pem").write_bytes(pem)
    file = tmp_path / "push.toml"
    file.write_text(f'[webpush.default]\nkey = "vapid.pem"\nsubject = {json.dumps(subject)}\n')
    with pytest.raises(InvalidPushApps, match=named):
        PushApps(str(file), clock, outbound)


def test_the_file_of_apps_names_the_key(tmp_path, clock, outbound, provider, key):
    pem = key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "vapid.pem").write_bytes(pem)
    file = tmp_path / "push.toml"
    file.write_text('[webpush.site]\nkey = "vapid.pem"\nsubject = "mailto:offers@example.org"\n')
    with closing(PushApps(str(file), clock, outbound)) as apps:
        service = apps.services[PushKind.WEBPUSH, "site"]
        assert service.push(browser(provider, key), notice()).came is Came.TAKEN
