"""A shop's own system that takes offers by Standard Webhooks 1.0: checks the signature, shows a repeat once."""

import hmac
import json
from base64 import b64encode
from hashlib import sha256

from engine.provider.exchange import NOTHING, Answer, Request
from engine.provider.fault import Faults, answered
from engine.provider.notifications import Notification, Notifications

PATH = "/webhook/offers"
KEY = b"pretended webhook secret, 32 by."
SECRET = f"whsec_{b64encode(KEY).decode()}"
IDS_LIMIT = 10_000


class WebhookApi:
    """The system."""

    def __init__(self, notifications: Notifications, faults: Faults) -> None:
        self._notifications = notifications
        self._faults = faults
        self._heard: dict[str, None] = {}

    def answer(self, request: Request) -> Answer:
        """Answer one call."""
        return answered(self._faults, request, self._take)

    def _take(self, request: Request) -> Answer:
        headers = request.headers
        call_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        code = hmac.digest(KEY, b".".join((call_id.encode(), at.encode(), request.body)), sha256)
        if headers.get("webhook-signature") != f"v1,{b64encode(code).decode()}":
            return Answer(401)
        if call_id in self._heard:
            return NOTHING
        self._heard[call_id] = None
        if len(self._heard) > IDS_LIMIT:
            del self._heard[next(iter(self._heard))]
        told = json.loads(request.body)["data"]
        self._notifications.show(
            Notification("webhook", told["to"], told["title"], told["text"], told["tag"], told["silent"], 0)
        )
        return NOTHING
