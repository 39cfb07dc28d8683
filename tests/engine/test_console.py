"""The console opens to whoever has shown a key that may look at shoppers, for as long as both hold."""

import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from engine.app import Engine
from engine.console import session
from engine.console.feed import Feed
from engine.console.gate import ConsoleGate, token_in
from engine.console.session import COOKIE, SESSION_SECONDS, Sessions
from engine.console.sign_in import TRIES_PER_SECOND, Invitation, SignIn
from engine.doors.keys import Scope, hash_of
from engine.doors.limits import RateLimit
from engine.doors.web import speak_problem_json
from tests.conftest import ADMIN_KEY
from tests.engine.test_worker import WALK_IN, send, town

__all__ = ["town"]

SOCKET = "/_nicegui_ws/socket.io/"


@pytest.fixture
def database_url(tmp_path: Path, sqlite_pattern: Path) -> str:
    """One is enough: sessions are in the live store."""
    shutil.copyfile(sqlite_pattern, tmp_path / "records.sqlite")
    return f"sqlite:///{tmp_path / 'records.sqlite'}"


@pytest.fixture
def sessions(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Sessions:
    monkeypatch.setattr(session, "TRUSTED_SECONDS", 0.0)
    return Sessions(engine.live, engine.keys)


@pytest.fixture
def invitation() -> Invitation:
    return Invitation("come-in", ADMIN_KEY)


@pytest.fixture
def browser(engine: Engine, sessions: Sessions, invitation: Invitation) -> Iterator[TestClient]:
    """Before a page and a socket that tell only that they were reached; the real ones are in `tests/service/test_page.py`."""
    app = FastAPI()
    tries = RateLimit(engine.live, 1000)
    app.include_router(SignIn(sessions, engine.keys, tries, invitation).routes())
    app.add_middleware(ConsoleGate, sessions=sessions)
    speak_problem_json(app)

    @app.get("/")
    @app.get("/_nicegui/{path:path}")
    def reached(path: str = "") -> str:
        return f"reached {path}"

    @app.websocket(SOCKET)
    async def socket(connection: WebSocket) -> None:
        await connection.accept()
        await connection.send_text("reached")

    with TestClient(app, follow_redirects=False) as opened:
        yield opened


def sign_in(browser: TestClient, key: str):
    return browser.post("/sign-in", data={"key": key})


def reaches(browser: TestClient) -> set[str]:
    reached = {path for path in ("/", "/_nicegui/3/static/x.js") if browser.get(path).status_code == 200}
    try:
        with browser.websocket_connect(SOCKET) as socket:
            reached.add(socket.receive_text())
    except WebSocketDisconnect:
        pass
    return reached


ALL = {"/", "/_nicegui/3/static/x.js", "reached"}


def test_nobody_is_shown_anything_without_a_session(browser: TestClient):
    assert reaches(browser) == set()
    answer = browser.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    form = browser.get("/sign-in")
    assert (form.status_code, form.headers["cache-control"]) == (200, "no-store")
    assert 'type="password"' in form.text
    assert "script" not in form.text
    for cookie in (b"", b"x", b"\xe4", b'"', b"x" * 5000, ADMIN_KEY.encode()):
        browser.headers = [("cookie", COOKIE.encode() + b"=" + cookie)]
        assert reaches(browser) == set(), cookie


def test_a_key_that_may_look_at_shoppers_opens_it(browser: TestClient, engine: Engine):
    _, secret = engine.keys.create("dpo", [Scope.PRIVACY])
    answer = sign_in(browser, f" {secret} ")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    for word in (f"{COOKIE}=", "HttpOnly", "SameSite=strict", f"Max-Age={SESSION_SECONDS}", "Path=/"):
        assert word in cookie
    assert "Secure" not in cookie
    assert secret not in cookie
    assert reaches(browser) == ALL
    browser.post("/sign-out")
    assert reaches(browser) == set()
    sealed = browser.post("/sign-in", data={"key": secret}, headers={"X-Forwarded-Proto": "https"})
    assert "Secure" in sealed.headers["set-cookie"]


@pytest.mark.parametrize("other", ['seen={"a": 1}', "a b=c d", "name=é", "[x]=1"])
def test_other_cookies_of_the_host_shut_nobody_out(other: str):
    """Browsers bring those of all ports of a host, as whoever set them wrote them."""
    cookies = f"{other}; {COOKIE}=ours; last=1".encode("latin-1")
    assert token_in({"headers": [(b"cookie", cookies)]}) == "ours"


@pytest.mark.parametrize(
    ("scopes", "status", "why"),
    [
        ([], 401, "no key of this installation"),
        ([Scope.MARKETING, Scope.OPERATIONS], 403, "lacks the scope privacy"),
    ],
)
def test_other_keys_do_not_and_are_told_why(
    browser: TestClient, engine: Engine, scopes: list[Scope], status: int, why: str
):
    secret = engine.keys.create("other", scopes)[1] if scopes else "ck_12345678_<b>wrong</b>"
    answer = sign_in(browser, secret)
    assert answer.status_code == status
    assert why in unescape(answer.text)
    assert "set-cookie" not in answer.headers
    assert secret not in answer.text
    assert "<b>" not in answer.text
    assert reaches(browser) == set()


def test_what_is_no_form_is_refused_and_what_is_too_long(browser: TestClient):
    assert browser.post("/sign-in", content=b"\xff\xfe").status_code == 401
    assert browser.post("/sign-in").status_code == 401
    assert sign_in(browser, "x" * 5000).status_code == 413


def test_a_session_ends_with_its_key_and_by_the_clock(
    browser: TestClient, engine: Engine, sessions: Sessions
):
    key, secret = engine.keys.create("dpo", [Scope.PRIVACY])
    sign_in(browser, secret)
    token = browser.cookies[COOKIE]
    name = f"console:{hash_of(token)}"
    assert 0 < engine.live.client.ttl(name) <= SESSION_SECONDS
    held = engine.live.client.get(name)
    assert held.startswith(key.id.encode())
    assert not any(each.encode() in held for each in (token, secret, hash_of(secret)))
    assert sessions.find(token).id == key.id
    other, its_secret = engine.keys.create("other", [Scope.PRIVACY])
    engine.live.client.set(name, held.replace(key.id.encode(), other.id.encode()))
    assert sessions.find(token) is None, "the store alone makes no session"
    engine.live.client.set(name, held)
    engine.keys.revoke(key.id)
    assert sessions.find(token) is None
    assert reaches(browser) == set()
    sign_in(browser, its_secret)
    assert reaches(browser) == ALL
    engine.live.client.delete(*engine.live.client.keys("console:*"))  # as when it runs out
    assert reaches(browser) == set()


def test_an_admin_key_that_is_changed_ends_its_sessions(
    engine: Engine, sessions: Sessions, browser: TestClient
):
    sign_in(browser, ADMIN_KEY)
    assert reaches(browser) == ALL
    engine.keys._admin_hash = hash_of("another")
    assert reaches(browser) == set()
    engine.keys._admin_hash = None
    assert reaches(browser) == set()


def test_an_invitation_opens_it_without_a_key(browser: TestClient, invitation: Invitation):
    wrong = browser.get("/sign-in?invitation=wröng")
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    assert "printed a link" in wrong.text
    right = browser.get(invitation.path)
    assert right.status_code == 200
    assert ADMIN_KEY not in right.text
    assert 'content="0;url=/"' in right.text
    assert reaches(browser) == ALL


def test_tries_are_limited_by_address(engine: Engine, sessions: Sessions):
    app = FastAPI()
    app.include_router(SignIn(sessions, engine.keys, RateLimit(engine.live, TRIES_PER_SECOND)).routes())
    with TestClient(app) as browser:
        tries = [sign_in(browser, "wrong") for _ in range(3 * TRIES_PER_SECOND)]
    assert {each.status_code for each in tries} == {401, 429}
    last = next(each for each in tries if each.status_code == 429)
    assert last.headers["retry-after"] == "1"
    assert "Too many tries" in last.text


def test_looks_at_the_page_are_written_down(town: TestClient, engine: Engine, clock):
    send(town, clock, WALK_IN)
    engine.settle()
    view = Feed(engine.records, engine.now).look(12)
    assert view.subjects == {"ana"}
    for _ in range(2):
        engine.privacy.note_seen("key:k1", "console", view.subjects)
    looks = town.get("/v1/subjects/ana/export").json()["access_log"]
    assert [(each["actor"], each["what"]) for each in looks if each["what"] == "console"] == [
        ("key:k1", "console")
    ]
