from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.service.process import KEY, chaland

SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"


def test_the_page_and_the_api_are_served_by_one_process(tmp_path: Path):
    with chaland("serve", data_dir=tmp_path) as served, served.client() as client:
        assert client.get("/readyz").json()["status"] == "ready"
        assert client.get("/docs").status_code == 200
        assert client.get("/v1/events").json() == {"items": [], "next": None}
        with httpx2.Client(base_url=served.url, timeout=60, follow_redirects=True) as browser:
            _signs_in(browser, served.url.replace("http", "ws"))


def _signs_in(browser: httpx2.Client, socket_url: str) -> None:
    """Page, parts and socket alike are for whoever has signed in."""
    page = browser.get("/")
    assert (page.url.path, page.status_code) == ("/sign-in", 200)
    assert "Refused, and why" not in page.text
    with pytest.raises(InvalidStatus), connect(socket_url + SOCKET):
        pass
    page = browser.post("/sign-in", data={"key": KEY})
    assert (page.url.path, page.status_code) == ("/", 200)
    assert "Refused, and why" in page.text
    cookie = f"chaland_console={browser.cookies['chaland_console']}"
    with connect(socket_url + SOCKET, additional_headers={"Cookie": cookie}) as socket:
        assert str(socket.recv(timeout=10)).startswith("0{")  # engine.io opens
    part = page.text.split('src="')[1].split('"')[0]
    assert browser.get(part).status_code == 200
    page = browser.post("/sign-out")
    assert (page.url.path, browser.get(part).status_code) == ("/sign-in", 401)


def test_roles_share_the_stores(tmp_path: Path):
    """The API in one process, the engine in another; the second is a guest of the first one's live store."""
    with chaland("serve", "--role", "api", data_dir=tmp_path) as api, api.client() as client:
        assert client.get("/readyz").json()["status"] == "ready"
        assert client.get("/").status_code == 404
        assert client.get("/sign-in").status_code == 404
