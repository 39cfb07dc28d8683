"""The local provider as a test of sending uses it: no test leaves this machine."""

from typing import Any

from engine.provider.fault import Fault
from engine.provider.provider import Provider
from engine.provider.twilio_api import ACCOUNT_SID, AUTH_TOKEN

__all__ = ["ACCOUNT_SID", "AUTH_TOKEN", "Fault", "TwilioApi"]


class TwilioApi(Provider):
    """`requests` holds every form that was posted, `messages` what was created, by sid."""

    @property
    def requests(self) -> list[dict[str, str]]:
        return self.twilio.requests

    @property
    def messages(self) -> dict[str, dict[str, Any]]:
        return self.twilio.messages
