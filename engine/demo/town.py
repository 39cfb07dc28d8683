"""The sample town: its geofences, its one campaign, and simulated shoppers who walk and drive about in it.

The shoppers are clients like any other: everything they do goes through the HTTP API.
"""

import json
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from math import cos, hypot, radians, sin, tau
from typing import Any

import httpx2

SHOPPERS = 24
DRIVERS = 6
STEP_SECONDS = 3.0
WALK_MPS, DRIVE_MPS = 1.4, 9.0
METRES_PER_DEGREE = 111_320.0
CENTRE = (48.8353, 2.2420)
FIRST_NAMES = (
    "Ana Bruno Chloé David Emma Farid Gaëlle Hugo Inès Jules Karim Léa Malik Nina Omar Paula Quentin Rosa Sami "
    "Tess Ugo Vera Wassim Yasmine"
).split()
CAMPAIGN = {
    "name": "Bread",
    "trigger": {"event": "enter", "tags": ["food"]},
    "channel": "sms",
    "template": "{{ first_name | default: 'Hello' }}, fresh bread until ten at {{ geofence }}",
    "cap": [{"max": 1, "per_seconds": 600}],
    "shelf_life_seconds": 300,
}


@dataclass(slots=True)
class Shopper:
    """Someone simulated: where they are (metres east and north of the centre) and where they are going."""

    id: str
    first_name: str
    drives: bool
    east_m: float
    north_m: float
    goal: tuple[float, float]
    rests_for_seconds: float = 0.0
    error_m: tuple[float, float] = field(default=(0.0, 0.0))

    @property
    def speed_mps(self) -> float:
        """How fast they move when they move."""
        return DRIVE_MPS if self.drives else WALK_MPS


class Town:
    """Sets the town up, then moves its people and reports where they are, a batch of pings per step."""

    def __init__(self, client: httpx2.Client, now: Callable[[], datetime], seed: int = 7) -> None:
        self.client = client
        self._now = now
        self._random = random.Random(seed)  # noqa: S311  # a simulation, repeatable
        self._goals = [_centre_of(feature) for feature in town_features()]
        self.shoppers = [self._shopper(number) for number in range(SHOPPERS)]

    def set_up(self) -> None:
        """Geofences, subjects with their consents, and one active campaign. Repeating it changes nothing."""
        self._call("POST", "/v1/geofences/import", {"type": "FeatureCollection", "features": town_features()})
        for number, shopper in enumerate(self.shoppers):
            self._enrol(number, shopper)
        self._call("PUT", "/v1/campaigns/bread", CAMPAIGN)
        self._call("POST", "/v1/campaigns/bread/activate", None)

    def run(self, stop: threading.Event) -> None:
        """Live in the town until told to stop."""
        while not stop.wait(STEP_SECONDS):
            try:
                self.step(STEP_SECONDS)
            except httpx2.HTTPError:
                if stop.wait(STEP_SECONDS):
                    return

    def step(self, seconds: float) -> None:
        """Everybody moves for `seconds`, and every phone reports."""
        for shopper in self.shoppers:
            self._move(shopper, seconds)
        at = self._now().isoformat()
        pings = [self._ping(shopper, at) for shopper in self.shoppers]
        self.client.post("/v1/pings", json={"pings": pings}).raise_for_status()

    def _enrol(self, number: int, shopper: Shopper) -> None:
        subject = {
            "phone": f"+3363998{number:04d}",  # a range that the French regulator keeps for fiction
            "locale": "fr",
            "attributes": {"first_name": shopper.first_name, "tier": "gold" if number % 3 == 0 else "blue"},
            "devices": [{"device": f"{shopper.id}-phone"}],
        }
        self._call("PUT", f"/v1/subjects/{shopper.id}", subject)
        standing = self._call("GET", f"/v1/subjects/{shopper.id}/consents", None)
        if standing["items"]:
            return
        granted: list[dict[str, Any]] = [{"purpose": "location"}]
        if number % 4:  # every fourth allows location, but no offers: the page shows who is refused, and why
            granted.append({"purpose": "marketing", "channel": "sms"})
        for each in granted:
            entry = each | {"action": "grant", "source": "sample town", "text_version": "sample-1"}
            self._call("POST", f"/v1/subjects/{shopper.id}/consents", entry)

    def _call(self, method: str, path: str, body: Any) -> Any:
        response = self.client.request(method, path, json=body)
        response.raise_for_status()
        return response.json() if response.content else None

    def _shopper(self, number: int) -> Shopper:
        """Begins within sight of a place, so that something happens in the first minute."""
        goal = self._random.choice(self._goals)
        away_m, bearing = self._random.uniform(60, 140), self._random.uniform(0, tau)
        return Shopper(
            id=f"shopper-{number:02d}",
            first_name=FIRST_NAMES[number % len(FIRST_NAMES)],
            drives=number >= SHOPPERS - DRIVERS,
            east_m=goal[0] + away_m * sin(bearing),
            north_m=goal[1] + away_m * cos(bearing),
            goal=goal,
        )

    def _move(self, shopper: Shopper, seconds: float) -> None:
        if shopper.rests_for_seconds > 0:
            shopper.rests_for_seconds -= seconds
            return
        east, north = shopper.goal[0] - shopper.east_m, shopper.goal[1] - shopper.north_m
        distance, reach = hypot(east, north), shopper.speed_mps * seconds
        if distance > reach:
            shopper.east_m += east / distance * reach
            shopper.north_m += north / distance * reach
            return
        shopper.east_m, shopper.north_m = shopper.goal
        shopper.rests_for_seconds = self._random.uniform(60, 180) if not shopper.drives else 5
        shopper.goal = self._random.choice(self._goals)
        if self._random.random() < 0.4:  # a way through open streets, so that people also leave places
            shopper.goal = (self._random.uniform(-350, 350), self._random.uniform(-200, 200))

    def _ping(self, shopper: Shopper, at: str) -> dict[str, Any]:
        accuracy = self._random.uniform(6, 18)
        shopper.error_m = (
            0.9 * shopper.error_m[0] + self._random.gauss(0, accuracy / 4),
            0.9 * shopper.error_m[1] + self._random.gauss(0, accuracy / 4),
        )
        lat, lon = to_degrees(shopper.east_m + shopper.error_m[0], shopper.north_m + shopper.error_m[1])
        speed = 0.0 if shopper.rests_for_seconds > 0 else shopper.speed_mps
        return {
            "device": f"{shopper.id}-phone",
            "at": at,
            "lat": round(lat, 6),
            "lon": round(lon, 6),
            "accuracy": round(accuracy, 1),
            "speed": speed,
        }


def town_features() -> list[dict[str, Any]]:
    """The town's geofences, as GeoJSON features."""
    text = resources.files("engine.demo").joinpath("sample", "town.geojson").read_text(encoding="utf-8")
    return list(json.loads(text)["features"])


def to_degrees(east_m: float, north_m: float) -> tuple[float, float]:
    """Latitude and longitude of a point given in metres from the town's centre."""
    lat, lon = CENTRE
    return lat + north_m / METRES_PER_DEGREE, lon + east_m / (METRES_PER_DEGREE * cos(radians(lat)))


def to_metres(lat: float, lon: float) -> tuple[float, float]:
    """Metres east and north of the town's centre."""
    return (lon - CENTRE[1]) * METRES_PER_DEGREE * cos(radians(CENTRE[0])), (
        lat - CENTRE[0]
    ) * METRES_PER_DEGREE


def _centre_of(feature: Mapping[str, Any]) -> tuple[float, float]:
    points = list(_points(feature["geometry"]["coordinates"]))
    lon = (min(point[0] for point in points) + max(point[0] for point in points)) / 2
    lat = (min(point[1] for point in points) + max(point[1] for point in points)) / 2
    return to_metres(lat, lon)


def _points(coordinates: Any) -> Any:
    if isinstance(coordinates[0], int | float):
        yield coordinates
        return
    for each in coordinates:
        yield from _points(each)
