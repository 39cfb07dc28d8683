"""A fresh engine for stories: real stores in a temporary folder, the real HTTP application, a clock set by hand."""

import math
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fastapi.testclient import TestClient
from twilio.request_validator import RequestValidator

from config import Settings
from engine.app import Engine
from engine.clock import SetClock

ADMIN_KEY = "story-key"
TWILIO_TOKEN = "story-token"  # noqa: S105  # lives as long as a story
PUBLIC_URL = "https://story.example.org"
OUTSIDE_M = 300.0
METRES_PER_DEGREE = 111_320.0


class Stage:
    """The engine, and the people who meet it. Use as a context manager."""

    def __init__(self, start: datetime) -> None:
        self._clock = SetClock(start)
        self._places: dict[str, tuple[float, float]] = {}
        self._people: dict[str, str] = {}
        self._campaigns: dict[str, str] = {}
        self._texts = 0

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="chaland-story-")
        settings = Settings(
            data_dir=Path(self._folder.name),
            admin_key=ADMIN_KEY,
            twilio_auth_token=TWILIO_TOKEN,
            public_url=PUBLIC_URL,
            partitions=4,
        )
        self._engine = Engine(settings, self._clock)
        self._engine.open()
        self._client = TestClient(
            self._engine.web(), base_url=PUBLIC_URL, headers={"Authorization": f"Bearer {ADMIN_KEY}"}
        )
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._engine.close()
        self._folder.cleanup()

    def add_place(self, name: str, lat: float, lon: float, radius: float) -> None:
        """A round store."""
        self._places[name] = (lat, lon)
        feature = {
            "type": "Feature",
            "properties": {"name": name, "kind": "store", "radius": radius, "timezone": "Europe/Paris"},
            "geometry": {"type": "Point", "coordinates": [lon, lat]},
        }
        self._call("PUT", f"/v1/geofences/{name}", feature)

    def add_campaign(self, **said: str | None) -> None:
        """An active campaign on one place."""
        campaign_id = str(said["name"]).lower()
        self._campaigns[str(said["name"])] = campaign_id
        body: dict[str, Any] = {
            "name": said["name"],
            "trigger": {"event": said["event"], "geofences": [said["place"]]},
            "channel": said["channel"],
            "template": said["text"],
        }
        if said["from"]:
            days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
            body["windows"] = [{"days": days, "from": said["from"], "to": said["to"]}]
        self._call("PUT", f"/v1/campaigns/{campaign_id}", body)
        self._call("POST", f"/v1/campaigns/{campaign_id}/activate", None)

    def meet(self, at: datetime, who: str) -> None:
        """Someone with a phone; the first time only."""
        self._move_to(at)
        if who in self._people:
            return
        self._people[who] = f"+336390{len(self._people):05d}"
        subject = {
            "phone": self._people[who],
            "locale": "fr",
            "attributes": {"first_name": who.capitalize()},
            "devices": [{"device": f"{who}-phone"}],
        }
        self._call("PUT", f"/v1/subjects/{who}", subject)

    def consent(
        self, at: datetime, who: str, purpose: str, channel: str | None, action: str
    ) -> list[dict[str, Any]]:
        """Allow or withdraw one purpose."""
        self._move_to(at)
        entry = {"purpose": purpose, "action": action, "source": "story", "text_version": "v1"}
        self._call("POST", f"/v1/subjects/{who}/consents", entry | ({"channel": channel} if channel else {}))
        return [{"what": "withdrawn", "detail": channel or purpose}] if action == "withdraw" else []

    def walk(self, who: str, place: str, times: Sequence[datetime], *, inside: bool) -> list[dict[str, Any]]:
        """Report a fix at each time, in the middle of the place or well outside it; answers all that came of it."""
        lat, lon = self._places[place]
        lon += 0 if inside else OUTSIDE_M / (METRES_PER_DEGREE * math.cos(math.radians(lat)))
        before = self._ids()
        for at in times:
            if at.timestamp() <= self._clock().timestamp():
                continue
            self._move_to(at)
            ping = {"device": f"{who}-phone", "at": at.isoformat(), "lat": lat, "lon": lon, "accuracy": 8}
            self._client.post("/v1/pings", json={"pings": [ping]})
            self._engine.settle()
        return self._since(before)

    def text(self, at: datetime, who: str, text: str) -> list[dict[str, Any]]:
        """Send an SMS to the engine, signed as Twilio signs it."""
        self._move_to(at)
        self._texts += 1
        form = {"MessageSid": f"SM{self._texts:032d}", "From": self._people[who], "To": "36111", "Body": text}
        url = f"{PUBLIC_URL}/v1/twilio/inbound"
        signature = RequestValidator(TWILIO_TOKEN).compute_signature(url, form)
        was = self._allowed(who)
        response = self._client.post(
            "/v1/twilio/inbound", data=form, headers={"X-Twilio-Signature": signature}
        )
        response.raise_for_status()
        now = self._allowed(who)
        return [
            *({"what": "withdrawn", "detail": each} for each in sorted(was - now)),
            *({"what": "allowed", "detail": each} for each in sorted(now - was)),
        ]

    def forget(self, at: datetime, who: str) -> list[dict[str, Any]]:
        """Erase someone."""
        self._move_to(at)
        self._call("DELETE", f"/v1/subjects/{who}", None)
        return [{"what": "forgotten", "detail": who}]

    def move_campaign(self, at: datetime, name: str, state: str) -> list[dict[str, Any]]:
        """Pause, resume or end a campaign."""
        self._move_to(at)
        action = {"paused": "pause", "resumed": "resume", "ended": "end"}[state]
        self._call("POST", f"/v1/campaigns/{self._campaigns[name]}/{action}", None)
        return []

    def _move_to(self, at: datetime) -> None:
        self._clock.set(max(at, self._clock() + timedelta(milliseconds=1)))
        self._engine.move_campaigns()

    def _call(self, method: str, path: str, body: Any) -> Any:
        response = self._client.request(method, path, json=body)
        response.raise_for_status()
        return response.json() if response.content else None

    def _allowed(self, who: str) -> set[str]:
        standing = self._call("GET", f"/v1/subjects/{who}/consents", None)["standing"]
        return {each["channel"] or each["purpose"] for each in standing if each["allowed"]}

    def _ids(self) -> set[str]:
        return {each["id"] for path in ("events", "decisions", "messages") for each in self._list(path)}

    def _list(self, path: str) -> list[dict[str, Any]]:
        return list(self._call("GET", f"/v1/{path}?limit=200", None)["items"])

    def _since(self, before: set[str]) -> list[dict[str, Any]]:
        happened: list[dict[str, Any]] = []
        for event in reversed(self._list("events")):
            happened += [{"what": "event", **event}] if event["id"] not in before else []
        for message in reversed(self._list("messages")):
            sent = message["id"] not in before and message["state"] in ("sent", "delivered")
            happened += [{"what": "message", **message}] if sent else []
        for decision in reversed(self._list("decisions")):
            if decision["id"] not in before and decision["outcome"] == "refused":
                happened.append(
                    {"what": "refusal", "reason": decision["reason"], "since": _withdrawn_at(decision)}
                )
        return happened


def _withdrawn_at(decision: dict[str, Any]) -> str | None:
    if not decision["reason"].endswith("withdrawn"):
        return None
    failed = next(gate for gate in decision["gates"] if gate["verdict"] == "fail")
    return str(failed["input"]["since"])
