"""A crowd that walks in and out of a few places, and what the engine tells of it: to be compared between a run that
was disturbed and one that was not.

Every visit is long enough to dwell, whether a ping or the clock tells it, and nobody is inside at the end, so that
nothing depends on how quickly pings come. All phones stand or walk: `stuck`, which depends on what other phones were
heard to do lately, is not among what is compared.
"""

import random
import time
from collections.abc import Iterator
from typing import Any

import httpx2

PLACES = 5
SPACING_DEGREES = 0.004
LAT, LON = 48.8353, 2.2410
STEP_SECONDS = 4
GIVE_UP_SECONDS = 90.0
BUSY = ("log_full", "unavailable")

Body = list[dict[str, Any]]


def stream(
    seed: int, began_at: float, pings: int, devices: int, body: int, cycle_steps: int = 40
) -> Iterator[Body]:
    """Bodies of pings: each device has its own phase of the cycle of being inside and away. `began_at` is when they
    begin, by the phones' clocks.
    """
    rng = random.Random(seed)
    phases = [rng.uniform(0, cycle_steps / 2) for _ in range(devices)]
    steps = pings // devices
    waiting: Body = []
    for step in range(steps):
        for number in range(devices):
            away = (step + phases[number]) % cycle_steps > cycle_steps / 2 or step > steps - 15
            waiting.append(
                {
                    "device": f"device-{number}",
                    "at": began_at + step * STEP_SECONDS + number / 1000,
                    "lat": round(LAT + rng.gauss(0, 2e-5), 7),
                    "lon": LON + (number % PLACES) * SPACING_DEGREES + (0.002 if away else 0),
                    "accuracy": 8,
                }
            )
            if len(waiting) == body:
                yield waiting
                waiting = []
    if waiting:
        yield waiting


def set_up(client: httpx2.Client, devices: int) -> None:
    """The places, the people who allow everything, and a campaign that greets whoever enters."""
    for number in range(PLACES):
        feature = {
            "type": "Feature",
            "properties": {"name": f"Place {number}", "radius": 40, "dwell_seconds": 40},
            "geometry": {"type": "Point", "coordinates": [LON + number * SPACING_DEGREES, LAT]},
        }
        client.put(f"/v1/geofences/place-{number}", json=feature).raise_for_status()
    for number in range(devices):
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


def send(client: httpx2.Client, body: Body) -> int:
    """Send a body as a phone's library does: what is told to come back comes back. Answers how often it had to."""
    tries, left = 0, body
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            answer = client.post("/v1/pings", json={"pings": left})
        except httpx2.HTTPError:
            answer = None  # the door is away, or its answer was lost
        if answer is not None and answer.status_code == 202:
            rejected = answer.json()["rejected"]
            assert all(each["code"] in BUSY for each in rejected)
            left = [left[each["index"]] for each in rejected]
            if not left:
                return tries
        elif answer is not None:
            assert answer.status_code == 503, answer.text
            assert answer.headers["retry-after"]
        assert time.monotonic() < deadline, "the door does not take this body"
        tries += 1
        time.sleep(0.1)


def everything(client: httpx2.Client, path: str) -> list[dict[str, Any]]:
    """All items of a paged list."""
    items, cursor = [], None
    while True:
        params = {"limit": 200} | ({"cursor": cursor} if cursor else {})
        page = client.get(path, params=params).raise_for_status().json()
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items


def settled(client: httpx2.Client) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Events and messages once no signal waits, nothing has been added for a while and nothing is due. Signals may wait
    for longer than a while, as nobody works on a dead worker's partitions until its leases have run out.
    """
    last, quiet = -1, 0
    while quiet < 4:
        time.sleep(0.5)  # real processes work in real time; how long depends on the machine
        events, messages = everything(client, "/v1/events"), everything(client, "/v1/messages")
        busy = _waiting(client) or any(message["state"] in ("due", "sending") for message in messages)
        quiet = quiet + 1 if len(events) + len(messages) == last and not busy else 0
        last = len(events) + len(messages)
    return events, messages


def _waiting(client: httpx2.Client) -> bool:
    """Whether signals wait to be processed, as the metrics tell."""
    lines = client.get("/metrics").raise_for_status().text.splitlines()
    [depth] = [line.split()[1] for line in lines if line.startswith("chaland_log_depth_entries ")]
    return float(depth) != 0


def told(events: list[dict[str, Any]]) -> set[tuple[str, ...]]:
    """What the events say, but for the figures that depend on when pings came."""
    return {
        (
            each["id"],
            each["device"],
            each["kind"],
            each["geofence"],
            each["at"],
            str(each["retracted_at"] is None),
        )
        for each in events
    }


def assert_same(
    calm: tuple[list[dict[str, Any]], list[dict[str, Any]]],
    stormy: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    """The same events and messages, each once."""
    (calm_events, calm_messages), (events, messages) = calm, stormy
    assert told(events) == told(calm_events)
    assert len(events) == len(calm_events)
    assert {each["event"] for each in messages} == {each["event"] for each in calm_messages}
    assert len(messages) == len({each["event"] for each in messages})
