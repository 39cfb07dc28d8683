"""kill -9 in mid-stream: every accepted ping is processed once, and no message is doubled."""

import random
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.service.process import Served, chaland

PINGS = 50_000
DEVICES = 250
BODY = 500
KILLS = 4
PLACES = 5
SPACING_DEGREES = 0.004
LAT, LON = 48.8353, 2.2410


def stream(seed: int, began_at: float) -> list[list[dict[str, Any]]]:
    """Bodies of pings: every device goes into a place and out again, time and again, each in its own rhythm, and is
    outside at the end, so that no timer is left running.
    """
    rng = random.Random(seed)
    phases = {number: rng.uniform(0, 20) for number in range(DEVICES)}
    pings = [
        {
            "device": f"device-{number}",
            "at": began_at + step * 4 + number / 1000,
            "lat": LAT + rng.gauss(0, 2e-5),
            "lon": LON
            + (number % PLACES) * SPACING_DEGREES
            + (0.002 if (step + phases[number]) % 40 > 20 or step > PINGS // DEVICES - 15 else 0),
            "accuracy": 8,
        }
        for step in range(PINGS // DEVICES)
        for number in range(DEVICES)
    ]
    return [pings[start : start + BODY] for start in range(0, len(pings), BODY)]


def set_up(client: httpx2.Client) -> None:
    for number in range(PLACES):
        feature = {
            "type": "Feature",
            "properties": {"name": f"Place {number}", "radius": 40, "dwell_seconds": 40},
            "geometry": {"type": "Point", "coordinates": [LON + number * SPACING_DEGREES, LAT]},
        }
        client.put(f"/v1/geofences/place-{number}", json=feature).raise_for_status()
    for number in range(DEVICES):
        subject = {
            "phone": f"+3363999{number:04d}",
            "locale": "fr",
            "devices": [{"device": f"device-{number}"}],
        }
        client.put(f"/v1/subjects/s{number}", json=subject).raise_for_status()
        for consent in ({"purpose": "location"}, {"purpose": "marketing", "channel": "sms"}):
            entry = consent | {"action": "grant", "source": "test", "text_version": "1"}
            client.post(f"/v1/subjects/s{number}/consents", json=entry).raise_for_status()
    campaign = {
        "name": "All",
        "trigger": {"event": "enter", "any": True},
        "channel": "sms",
        "template": "Hello",
        "cap": [{"max": 1000, "per_seconds": 60}],
        "shelf_life_seconds": 86400,
    }
    client.put("/v1/campaigns/all", json=campaign).raise_for_status()
    client.post("/v1/campaigns/all/activate").raise_for_status()
    time.sleep(1)  # the geofences reach the worker's index within a second


def everything(client: httpx2.Client, path: str) -> list[dict[str, Any]]:
    items, cursor = [], None
    while True:
        params = {"limit": 200} | ({"cursor": cursor} if cursor else {})
        page = client.get(path, params=params).raise_for_status().json()
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items


def settled(client: httpx2.Client) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Events and messages once nothing has been added for a while and nothing is due."""
    last, quiet = -1, 0
    while quiet < 4:
        time.sleep(0.5)  # real processes work in real time; how long depends on the machine
        events, messages = everything(client, "/v1/events"), everything(client, "/v1/messages")
        busy = any(message["state"] in ("due", "sending") for message in messages)
        quiet = quiet + 1 if len(events) + len(messages) == last and not busy else 0
        last = len(events) + len(messages)
    return events, messages


def send(client: httpx2.Client, body: list[dict[str, Any]]) -> None:
    answer = client.post("/v1/pings", json={"pings": body})
    answer.raise_for_status()
    assert answer.json() == {"accepted": len(body), "rejected": []}


def run(folder: Path, bodies: list[list[dict[str, Any]]], kills: set[int]) -> tuple[Any, Any]:
    """Send every body, killing the process right after the bodies whose numbers are in `kills` were accepted."""
    number = 0
    first = True
    while True:
        with (
            chaland("serve", data_dir=folder, CHALAND_PING_AGE_LIMIT_SECONDS="86400") as served,
            served.client() as client,
        ):
            if first:
                set_up(client)
                first = False
            number = _until_killed(served, client, bodies, number, kills)
            if number == len(bodies):
                return settled(client)


def _until_killed(
    served: Served, client: httpx2.Client, bodies: list[list[dict[str, Any]]], number: int, kills: set[int]
) -> int:
    while number < len(bodies):
        send(client, bodies[number])
        number += 1
        if number in kills:
            served.kill()
            return number
    return number


@pytest.fixture(scope="module")
def began_at() -> float:
    return time.time() - 3600


def test_a_killed_engine_loses_nothing_and_doubles_nothing(tmp_path: Path, began_at: float):
    bodies = stream(seed=11, began_at=began_at)
    kills = set(random.Random(5).sample(range(5, len(bodies) - 5), KILLS))
    (tmp_path / "calm").mkdir()
    (tmp_path / "stormy").mkdir()
    calm_events, calm_messages = run(tmp_path / "calm", bodies, set())
    stormy_events, stormy_messages = run(tmp_path / "stormy", bodies, kills)

    def told(events: list[dict[str, Any]]) -> set[tuple[str, ...]]:
        return {(each["id"], each["device"], each["kind"], each["geofence"], each["at"]) for each in events}

    assert len(calm_events) > 1000
    assert told(stormy_events) == told(calm_events)
    assert len(stormy_events) == len(calm_events)
    assert {each["event"] for each in stormy_messages} == {each["event"] for each in calm_messages}
    assert len(stormy_messages) == len({each["event"] for each in stormy_messages})
    print(
        f"{PINGS} pings, {KILLS} kills: {len(calm_events)} events, {len(calm_messages)} messages, in both runs"
    )
