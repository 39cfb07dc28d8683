"""A fresh engine for stories: real stores in a temporary folder, the real HTTP application, a clock set by hand."""

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
from engine.stories.campaign_words import conditions
from engine.stories.handset import Handset, Spot

ADMIN_KEY = "story-key"
TWILIO_TOKEN = "story-token"  # noqa: S105  # lives as long as a story
PUBLIC_URL = "https://story.example.org"
OUTSIDE_M = 300.0
"""East of a place's middle, whoever is outside of it."""
FIX_ACCURACY_M = 8.0
STEP_SECONDS = 30
"""While nothing is reported, the engine looks at its timers so often."""


class Stage:
    """The engine, and the people who meet it. Use as a context manager."""

    def __init__(self, start: datetime) -> None:
        self._clock = SetClock(start)
        self._places: dict[str, Spot] = {}
        self._people: dict[str, str] = {}
        self._phones: dict[str, Handset] = {}
        self._campaigns: dict[str, str] = {}
        self._texts = 0

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="chaland-story-")
        settings = Settings(
            data_dir=Path(self._folder.name),
            admin_key=ADMIN_KEY,
            twilio_auth_token=TWILIO_TOKEN,
            public_url=PUBLIC_URL,
            partitions=1,
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
        self._places[name] = Spot(lat, lon)
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
            "trigger": {"event": said["event"], "geofences": [said["place"]]}
            | conditions(said["when"] or ""),
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
        self._people[who] = f"+3363998{len(self._people):04d}"
        self._phones[who] = Handset(f"{who}-phone")
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
        self.phone(who)
        self._move_to(at)
        entry = {"purpose": purpose, "action": action, "source": "story", "text_version": "v1"}
        self._call("POST", f"/v1/subjects/{who}/consents", entry | ({"channel": channel} if channel else {}))
        return [{"what": "withdrawn", "detail": channel or purpose}] if action == "withdraw" else []

    def phone(self, who: str) -> Handset:
        """Someone's phone. Raises `LookupError` for one who was never met."""
        if who not in self._phones:
            raise LookupError(f"{who} has not been met: say first what {who} allows")
        return self._phones[who]

    def spot(self, place: str, east_m: float = 0.0) -> Spot:
        """A position so far east of the middle of a place. Raises `LookupError`."""
        if place not in self._places:
            raise LookupError(f"there is no place {place!r}, only {', '.join(sorted(self._places))}")
        return self._places[place].east(east_m)

    def report(
        self, who: str, fixes: Sequence[tuple[datetime, Spot]], speed_mps: float | None = None
    ) -> list[dict[str, Any]]:
        """The phone is at each spot in turn and measures it; answers all that came of it. Times that have passed are
        left out.
        """
        phone, before = self.phone(who), self._seen()
        for at, spot in fixes:
            if at.timestamp() <= self._clock().timestamp():
                continue
            phone.where = spot
            self._move_to(at)
            phone.measure(at, spot, FIX_ACCURACY_M, speed_mps)
            self._send()
        return self._since(before)

    def err(self, at: datetime, who: str, spot: Spot, accuracy: float) -> list[dict[str, Any]]:
        """The phone measures one fix that is wrong, while it stays where it is."""
        phone, before = self.phone(who), self._seen()
        self._move_to(at)
        phone.measure(at, spot, accuracy)
        self._send()
        return self._since(before)

    def go_online(self, at: datetime, who: str, *, online: bool) -> list[dict[str, Any]]:
        """The phone loses its connection, or has it again and sends what it kept, in one batch."""
        phone, before = self.phone(who), self._seen()
        self._move_to(at)
        if online:
            phone.come_online()
        phone.online = online
        self._send()
        return self._since(before)

    def wait(self, at: datetime, until: datetime) -> list[dict[str, Any]]:
        """Let time pass in which nobody measures anything."""
        before = self._seen()
        while at <= until:
            self._move_to(at)
            self._send()
            at += timedelta(seconds=STEP_SECONDS)
        return self._since(before)

    def text(self, at: datetime, who: str, text: str) -> list[dict[str, Any]]:
        """Send an SMS to the engine, signed as Twilio signs it."""
        self.phone(who)
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
        self.phone(who)
        self._move_to(at)
        self._call("DELETE", f"/v1/subjects/{who}", None)
        return [{"what": "forgotten", "detail": who}]

    def move_campaign(self, at: datetime, name: str, state: str) -> list[dict[str, Any]]:
        """Pause, resume or end a campaign."""
        if name not in self._campaigns:
            raise LookupError(f"there is no campaign {name!r}")
        self._move_to(at)
        action = {"paused": "pause", "resumed": "resume", "ended": "end"}[state]
        self._call("POST", f"/v1/campaigns/{self._campaigns[name]}/{action}", None)
        return []

    def _move_to(self, at: datetime) -> None:
        self._clock.set(max(at, self._clock() + timedelta(milliseconds=1)))
        self._engine.rounds.move_campaigns()

    def _send(self) -> None:
        """Send what phones have to send by now, and let the engine do all its work."""
        for phone in self._phones.values():
            if pings := phone.to_send(self._clock()):
                response = self._client.post("/v1/pings", json={"pings": pings})
                if response.status_code != 422:  # the phone of someone who was forgotten
                    response.raise_for_status()
        self._engine.settle()

    def _call(self, method: str, path: str, body: Any) -> Any:
        response = self._client.request(method, path, json=body)
        if response.status_code in (404, 409, 422):
            raise ValueError(f"the engine refuses it: {response.json()['detail']}")
        response.raise_for_status()
        return response.json() if response.content else None

    def _allowed(self, who: str) -> set[str]:
        standing = self._call("GET", f"/v1/subjects/{who}/consents", None)["standing"]
        return {each["channel"] or each["purpose"] for each in standing if each["allowed"]}

    def _seen(self) -> set[str]:
        seen = {each["id"] for path in ("events", "messages") for each in self._list(path)}
        seen |= {_outcome(each) for each in self._list("decisions")}
        return seen | {_retraction(each) for each in self._list("events") if each["retracted_at"]}

    def _list(self, path: str) -> list[dict[str, Any]]:
        return list(self._call("GET", f"/v1/{path}?limit=200", None)["items"])

    def _since(self, before: set[str]) -> list[dict[str, Any]]:
        happened: list[dict[str, Any]] = []
        for event in reversed(self._list("events")):
            happened += [{"what": "event", **event}] if event["id"] not in before else []
            if event["retracted_at"] and _retraction(event) not in before:
                happened.append({"what": "retraction", **event})
        for message in reversed(self._list("messages")):
            sent = message["id"] not in before and message["state"] in ("sent", "delivered")
            happened += [{"what": "message", **message}] if sent else []
        for decision in reversed(self._list("decisions")):
            if _outcome(decision) not in before and decision["outcome"] == "refused":
                happened.append(
                    {"what": "refusal", "reason": decision["reason"], "since": _withdrawn_at(decision)}
                )
        return happened


def _retraction(event: dict[str, Any]) -> str:
    return f"{event['id']} retracted"


def _outcome(decision: dict[str, Any]) -> str:
    """A decision that was held comes out anew."""
    return f"{decision['id']} {decision['outcome']}"


def _withdrawn_at(decision: dict[str, Any]) -> str | None:
    if not decision["reason"].endswith("withdrawn"):
        return None
    failed = next(gate for gate in decision["gates"] if gate["verdict"] == "fail")
    return str(failed["input"]["since"])
