"""What Twilio posts to the product: reports on messages, and shoppers' texts. Form posts, signed with the auth token."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
from twilio.request_validator import RequestValidator

from engine.provider.twilio_api import Report
from engine.provider.twilio_message import TextMessage

TIMEOUT = httpx2.Timeout(15.0, connect=5.0)
TRIES = 2
"""Twilio's own: five seconds to connect, fifteen to answer, and one more try where nothing could be reached."""

Post = Callable[[str, Mapping[str, str], Mapping[str, str]], tuple[int, str]]
"""Posts a form to a URL with headers; status and body of the answer, or status 0 where there was none."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Signs and posts. What is signed is the URL that the product knows itself by (`public_url`); where it really
    listens may be another one.
    """

    token: str = field(repr=False)
    public_url: str
    callback_url: str
    post: Post

    def report(self, report: Report) -> int:
        """Make one status callback; the status of the answer."""
        return self._call(report.url, status_form(report.message))[0]

    def text(self, message: TextMessage) -> tuple[int, str]:
        """Hand in a shopper's text; status and TwiML of the answer."""
        return self._call(f"{self.public_url.rstrip('/')}/v1/twilio/inbound", inbound_form(message))

    def _call(self, url: str, form: Mapping[str, str]) -> tuple[int, str]:
        signed, public = url.partition("#")[0], self.public_url.rstrip("/")
        signature: Any = RequestValidator(self.token).compute_signature(signed, form)
        really = (
            self.callback_url.rstrip("/") + signed.removeprefix(public)
            if signed.startswith(public)
            else signed
        )
        return self.post(really, form, {"X-Twilio-Signature": signature})


def status_form(message: TextMessage) -> dict[str, str]:
    """The fields of a status callback. Source: twilio.com/docs/messaging/guides/track-outbound-message-status."""
    form = {
        "AccountSid": message.account,
        "ApiVersion": "2010-04-01",
        "From": message.from_ or "",
        "MessageSid": message.sid,
        "MessageStatus": message.status,
        "SmsSid": message.sid,
        "SmsStatus": message.status,
        "To": message.to,
    }
    if message.service:
        form["MessagingServiceSid"] = message.service
    if message.error_code:
        form["ErrorCode"] = str(message.error_code)
    return form


def inbound_form(message: TextMessage) -> dict[str, str]:
    """The fields of a shopper's text. Source: twilio.com/docs/messaging/guides/webhook-request."""
    return {
        "AccountSid": message.account,
        "ApiVersion": "2010-04-01",
        "Body": message.body,
        "From": message.from_ or "",
        "FromCity": "",
        "FromCountry": "",
        "FromState": "",
        "FromZip": "",
        "MessageSid": message.sid,
        "NumMedia": "0",
        "NumSegments": "1",
        "SmsMessageSid": message.sid,
        "SmsSid": message.sid,
        "SmsStatus": "received",
        "To": message.to,
    }


def posting(client: httpx2.Client) -> Post:
    """Posts over the network, within Twilio's own times."""
    return lambda url, form, headers: _post(client, url, form, headers)


def _post(
    client: httpx2.Client, url: str, form: Mapping[str, str], headers: Mapping[str, str]
) -> tuple[int, str]:
    for _ in range(TRIES):
        try:
            answer = client.post(url, data=dict(form), headers=dict(headers), timeout=TIMEOUT)
        except httpx2.ConnectError:
            continue
        except (httpx2.HTTPError, httpx2.InvalidURL):
            break
        return answer.status_code, answer.text
    return 0, ""
