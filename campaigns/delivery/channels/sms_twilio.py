"""Text messages through Twilio's Messages API; its client and its error codes stay in this file."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NoReturn, TypeVar
from urllib.parse import urlencode

from requests import Response, Session
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import ConnectTimeout, RequestException
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client
from twilio.rest.api.v2010.account.message import MessageInstance
from urllib3.exceptions import MaxRetryError, NewConnectionError

from campaigns.delivery.channels.channel import (
    DeliveryError,
    Outgoing,
    Receipt,
    Sought,
    Trace,
    asked_pause_seconds,
)
from campaigns.delivery.channels.twilio_status import STATES
from campaigns.message import MessageState

T = TypeVar("T")
TIMEOUT_SECONDS = 10.0
MAX_VALIDITY_SECONDS = 36_000
"""The longest that Twilio keeps a message in its queue."""
FOUND_WITHIN = timedelta(minutes=3)
"""Of our call: it lasts seconds, and the two clocks may differ."""
SHUT_OUT_CODES = (20003, 20005)
"""Wrong credentials (twilio.com/docs/api/errors/20003); the account is not active (20005)."""
LISTED_LIMIT = 200
"""Messages to one number that are looked through, the newest first."""


class TwilioSms:
    """Sends from a messaging service, or else from a number; exactly one of them is given.

    `api_url` replaces Twilio's address (a local server, a proxy); `status_callback` is where Twilio reports, and
    gets our message id as a query parameter, so that even a report on an unanswered call finds its message.
    """

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        *,
        messaging_service_sid: str | None = None,
        from_: str | None = None,
        api_url: str | None = None,
        status_callback: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        if (messaging_service_sid is None) == (from_ is None):
            raise ValueError(
                "Twilio sends from a messaging service or from a number: give exactly one of them"
            )
        self._retry_after = _RetryAfter()
        hooks = {"response": [self._retry_after.note]}
        http = TwilioHttpClient(timeout=timeout_seconds, request_hooks=hooks)
        self._client = Client(
            account_sid,
            auth_token,
            http_client=http,
            environment={"TWILIO_EDGE": ""},  # not empty, or the client reads the process's own
        )
        if api_url is not None:
            self._client.api.base_url = api_url.rstrip("/")
        if http.session is not None:
            _heed_environment(http.session, self._client.api.base_url)
        self._sender = (
            {"from_": from_}
            if messaging_service_sid is None
            else {"messaging_service_sid": messaging_service_sid}
        )
        self._status_callback = status_callback

    def send(self, message: Outgoing) -> Receipt:
        """Create the message at Twilio. Raises `DeliveryError`; a call that got no clear answer is unknown."""
        report_to = {"status_callback": self._report_url(message.id)} if self._status_callback else {}
        created = self._answered(
            lambda: self._client.messages.create(
                to=message.to,
                body=message.text,
                validity_period=max(1, min(message.valid_seconds, MAX_VALIDITY_SECONDS)),
                **self._sender,
                **report_to,
            )
        )
        return Receipt(provider_id=created.sid)

    def find(self, sought: Sought) -> Sequence[Trace]:
        """What Twilio lists to the number, of our text, from about the time of our call. It has no field for an id of
        ours. Raises `DeliveryError`.
        """
        day = sought.called_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        listed = self._listed(sought, date_sent_after=day - timedelta(days=1))
        # What has not left Twilio's queue, or failed there, has no date of sending.
        return listed or self._listed(sought)

    def _listed(self, sought: Sought, **window: datetime) -> Sequence[Trace]:
        messages = self._client.messages
        listed = self._answered(lambda: messages.list(to=sought.to, limit=LISTED_LIMIT, **window))
        return [_trace(each) for each in listed if _is_ours(each, sought)]

    def _report_url(self, message_id: str) -> str:
        return f"{self._status_callback}?{urlencode({'message': message_id})}"

    def _answered(self, call: Callable[[], T]) -> T:
        """What Twilio answers, or a `DeliveryError` in its place."""
        try:
            return call()
        except (TwilioRestException, TwilioServiceException) as error:
            _refused(int(error.status), error.code, self._retry_after.seconds)
        except RequestException as error:
            _unreachable(error)
        except (TwilioException, ValueError):  # an answer that is no JSON is a ValueError
            raise DeliveryError(
                "Twilio's answer is not understood", permanent=False, outcome_unknown=True
            ) from None


class _RetryAfter(threading.local):
    """What each thread's last answer said of when to come again: the client's exceptions do not carry it."""

    seconds: float | None = None

    def note(self, response: Response, **_: object) -> None:
        """Called by the HTTP client with every answer."""
        self.seconds = asked_pause_seconds(response.headers.get("Retry-After"))


def _heed_environment(session: Session, url: str) -> None:
    """Take from the environment, now, which proxy and which certificates are to be used for the URL. The session would look
    through all of it with every call, which takes as long as the call itself.
    """
    found = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify = dict(found["proxies"]), found["verify"]
    session.trust_env = False


def _is_ours(listed: MessageInstance, sought: Sought) -> bool:
    made_at = listed.date_created
    return (
        str(listed.direction).startswith("outbound")
        and made_at is not None
        and abs(made_at - sought.called_at) <= FOUND_WITHIN
        and _plain(listed.body) == _plain(sought.text)
    )


def _plain(text: str | None) -> str:
    """Letters and digits alone: Twilio's smart encoding writes quotation marks, dashes and spaces otherwise."""
    return "".join(char for char in text or "" if char.isalnum())


def _trace(listed: MessageInstance) -> Trace:
    return Trace(
        provider_id=str(listed.sid),
        state=STATES.get(str(listed.status), MessageState.SENT),
        made_at=listed.date_created,
        error_code=str(listed.error_code) if listed.error_code else None,
    )


def _refused(status: int, code: int | None, retry_after_seconds: float | None) -> NoReturn:
    """Twilio answered with an error. Its own words are dropped, for they name the number."""
    # 429 is never processed and always safe to repeat (twilio.com/docs/api/errors/20429); of a 5xx nobody knows.
    raise DeliveryError(
        f"Twilio answered {status}, code {code}",
        permanent=400 <= status < 500 and status != 429,
        code=None if code is None else str(code),
        outcome_unknown=not 400 <= status < 500,
        busy=status == 429,
        retry_after_seconds=retry_after_seconds,
        shut_out=status == 401 or code in SHUT_OUT_CODES,
    ) from None


def _unreachable(error: RequestException) -> NoReturn:
    """No answer. Only if there never was a connection is it certain that nothing was taken."""
    reason = error.args[0].reason if error.args and isinstance(error.args[0], MaxRetryError) else None
    never_connected = isinstance(error, ConnectTimeout) or (
        isinstance(error, NoConnection) and isinstance(reason, NewConnectionError)
    )
    words = "Twilio cannot be reached" if never_connected else "Twilio did not answer"
    raise DeliveryError(words, permanent=False, outcome_unknown=not never_connected) from None
