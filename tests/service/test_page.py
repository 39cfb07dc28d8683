from pathlib import Path

from tests.service.process import chaland


def test_the_page_and_the_api_are_served_by_one_process(tmp_path: Path):
    with chaland("serve", data_dir=tmp_path) as served, served.client() as client:
        page = client.get("/")
        assert page.status_code == 200
        assert "Refused, and why" in page.text
        assert client.get("/readyz").json()["status"] == "ready"
        assert client.get("/docs").status_code == 200
        assert client.get("/v1/events").json() == {"items": [], "next": None}


def test_roles_share_the_stores(tmp_path: Path):
    """The API in one process, the engine in another; the second is a guest of the first one's live store."""
    with chaland("serve", "--role", "api", data_dir=tmp_path) as api, api.client() as client:
        assert client.get("/readyz").json()["status"] == "ready"
        assert client.get("/").status_code == 404
