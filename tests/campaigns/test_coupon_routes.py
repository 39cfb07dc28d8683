import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from campaigns import routes
from campaigns.coupons import routes as coupon_routes
from engine.doors.web import speak_problem_json

POOL = {"name": "Bread 10%", "alert_below": 2}


@pytest.fixture
def client(records, clock):
    app = FastAPI()
    app.include_router(coupon_routes.router(reads=records.reads, writes=records.writes, now=clock))
    app.include_router(routes.router(reads=records.reads, writes=records.writes, now=clock))
    speak_problem_json(app)
    with TestClient(app) as client:
        yield client


def test_a_pool_is_filled_in_three_ways_and_never_tells_a_code(client):
    assert client.put("/v1/coupon-pools/bread", json=POOL).status_code == 201
    assert client.put("/v1/coupon-pools/bread", json=POOL).status_code == 200
    added = client.post("/v1/coupon-pools/bread/codes", json={"codes": ["BREAD-1", "?", "BREAD-2"]}).json()
    assert (added["imported"], added["rejected"][0]["line"]) == (2, 2)
    file = {"content": "code\nBREAD-2\nBREAD-3\n", "headers": {"content-type": "text/csv"}}
    assert client.post("/v1/coupon-pools/bread/import", **file).json()["known"] == 1
    made = client.post("/v1/coupon-pools/bread/generate", json={"count": 5, "prefix": "X-"})
    assert made.json() == {"generated": 5}
    pool = client.get("/v1/coupon-pools/bread")
    assert pool.json()["codes"] == {"free": 8, "claimed": 0, "redeemed": 0, "void": 0}
    assert not pool.json()["low"]
    assert "BREAD-" not in pool.text + made.text
    assert client.get("/v1/coupon-pools", params={"limit": 1}).json() == {
        "items": [pool.json()],
        "next": None,
    }
    assert client.delete("/v1/coupon-pools/bread").status_code == 204
    assert client.get("/v1/coupon-pools/bread").json()["code"] == "coupon_pool_not_found"


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("codes", {"codes": []}, "invalid_body"),
        ("codes", {"codes": ["x" * 201]}, "invalid_body"),
        ("codes", {"codes": [1]}, "invalid_body"),
        ("generate", {"count": 50_001}, "invalid_body"),
        ("generate", {"count": 1, "length": 7}, "invalid_body"),
        ("generate", {"count": 1, "prefix": "a.b"}, "invalid_body"),
        ("generate", {"count": 1}, "coupon_pool_not_found"),
        ("import", None, "invalid_body"),
    ],
)
def test_what_cannot_be_put_into_a_pool_is_refused_with_a_reason(client, path, body, code):
    answer = client.post(f"/v1/coupon-pools/none/{path}", json=body)
    assert answer.status_code in (404, 422)
    assert answer.json()["code"] == code


def test_a_preview_shows_a_sample_or_the_text_of_an_empty_pool(client):
    client.put("/v1/coupon-pools/bread", json=POOL)
    client.post("/v1/coupon-pools/bread/codes", json={"codes": ["BREAD-1234"]})
    campaign = {
        "name": "Bread",
        "trigger": {"event": "enter", "geofences": ["bakery"]},
        "channel": "sms",
        "template": "Bread for {{ coupon }}",
        "coupon": {"pool": "bread", "fallback": "Bread"},
    }
    assert client.put("/v1/campaigns/bread", json=campaign).json()["coupon"]["valid_seconds"] == 604_800
    shown = client.post("/v1/campaigns/bread/preview", json={}).json()
    assert (shown["text"], shown["segments"]) == ("Bread for SAMPLE-COD", 1)
    assert client.post("/v1/campaigns/bread/preview", json={"coupons_left": False}).json()["text"] == "Bread"
    assert client.get("/v1/coupon-pools/bread").json()["codes"]["free"] == 1
    missing = client.put("/v1/campaigns/bread", json=campaign | {"coupon": {"pool": "none"}})
    assert missing.json()["errors"][0]["field"] == "coupon.pool"
