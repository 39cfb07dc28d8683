"""Leaks on purpose, one a test, and two tests without any; `tests/test_leaks.py` runs them in a pytest of their own."""

import logging
import subprocess
import sys

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.responses import JSONResponse, PlainTextResponse

from tests.support.planted_values import LAT, LON, PHONE, TEXT, TOKEN

logger = logging.getLogger("planted")


@pytest.fixture
def client():
    app = FastAPI()
    app.add_api_route("/v1/pings", lambda: JSONResponse({"accepted": 1}), methods=["POST"])
    app.add_api_route("/v1/campaigns/{name}", lambda name: JSONResponse({}), methods=["PUT"])
    app.add_api_route("/v1/subjects/{name}", lambda name: JSONResponse({}), methods=["PUT"])
    app.add_api_route("/echo", lambda said: JSONResponse({"detail": said}, 422))
    app.add_api_route("/metrics", lambda said: PlainTextResponse(f'asked_total{{by="{said}"}} 1.0'))
    with TestClient(app, headers={"Authorization": f"Bearer {TOKEN}"}) as opened:
        opened.post("/v1/pings", json={"pings": [{"device": "d", "lat": LAT, "lon": LON}]})
        opened.put("/v1/campaigns/bread", json={"template": f"{{{{ first_name }}}}, {TEXT}"})
        opened.put("/v1/subjects/ana", json={"phone": PHONE, "devices": [{"push": {"token": TOKEN + "-p"}}]})
        yield opened


def test_phone_in_a_log():
    logger.info("sending to %s", PHONE)


def test_phone_without_its_plus_in_a_log(client):
    logger.warning("sending to 0%s", PHONE[3:])


def test_phone_in_a_traceback():
    try:
        raise ValueError(PHONE)
    except ValueError:
        logger.exception("it went wrong")


def test_coordinate_in_a_log(client):
    logger.info("at %.5f, %.5f", LAT, LON)


def test_one_coordinate_in_a_log(client):
    logger.info("north of %s", LAT)


def test_text_in_an_error(client):
    client.get("/echo", params={"said": f"Ana, {TEXT}"})


def test_phone_in_an_error(client):
    client.get("/echo", params={"said": PHONE.removeprefix("+")})


def test_token_in_metrics(client):
    client.get("/metrics", params={"said": TOKEN})


def test_push_token_printed(client):
    print(f"to {TOKEN}-p")


def test_phone_from_a_process():
    code = "from tests.support.planted_values import PHONE; import sys; print(PHONE, file=sys.stderr)"
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_clean_measurements(client):
    logger.info(
        "p50 %.3f ms, p99 %.4f ms, took 2.241337 s, version 9.0.43, at 2026-11-25T13:12:42.123456+00:00",
        48.835,
        2.24,
    )
    logger.info("id 5f0c2a91d3b84e77a1c2d3e4f5061728, 1764076362123 ms, cursor 1764076362123-0, 12.345678 s")
    client.get("/metrics", params={"said": "0.123456789012 48.83531"})


def test_clean_export(client):
    code = "from tests.support.planted_values import PHONE; print(PHONE)"
    subprocess.run([sys.executable, "-c", code, "export"], capture_output=True, check=True)
