"""A message as Twilio's Messages API shows it, and how its list is filtered and cut into pages.

Shapes as in Twilio's published OpenAPI document (twilio/twilio-oai, spec/json/twilio_api_v2010.json).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from campaigns.content.segments import sms_size

API = "/2010-04-01/Accounts"
PAGE_SIZE, PAGE_SIZE_LIMIT = 50, 1000
FILTERS = ("To", "From", "DateSent", "DateSent<", "DateSent>")
ENDED = frozenset({"delivered", "undelivered", "failed", "canceled", "received", "read"})
"""Statuses after which nothing more comes."""


@dataclass(frozen=True, slots=True)
class TextMessage:
    """One message. `callback` is where its sender wants to be told of its status."""

    sid: str
    account: str
    to: str = field(repr=False)
    from_: str | None = field(repr=False)
    body: str = field(repr=False)
    status: str
    created_at: datetime
    updated_at: datetime
    service: str | None = None
    direction: str = "outbound-api"
    sent_at: datetime | None = None
    error_code: int | None = None
    callback: str | None = None

    @property
    def our_id(self) -> str | None:
        """The id that the product put into the callback's query, so that it can be counted by."""
        found = parse_qs(urlsplit(self.callback or "").query).get("message")
        return found[0] if found else None


def message_json(message: TextMessage) -> dict[str, Any]:
    """The resource, as create, fetch and list answer it."""
    uri = f"{API}/{message.account}/Messages/{message.sid}"
    segments = 0 if message.service and message.status == "accepted" else sms_size(message.body).segments
    return {
        "account_sid": message.account,
        "api_version": "2010-04-01",
        "body": message.body,
        "date_created": _rfc2822(message.created_at),
        "date_sent": _rfc2822(message.sent_at),
        "date_updated": _rfc2822(message.updated_at),
        "direction": message.direction,
        "error_code": message.error_code,
        "error_message": None if message.error_code is None else f"Error {message.error_code}",
        "from": message.from_,
        "messaging_service_sid": message.service,
        "num_media": "0",
        "num_segments": str(segments),
        "price": None,
        "price_unit": None,
        "sid": message.sid,
        "status": message.status,
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": message.to,
        "uri": f"{uri}.json",
    }


def page_json(path: str, asked: Mapping[str, str], messages: Iterable[TextMessage]) -> dict[str, Any]:
    """One page of the list; `messages` are newest first, `asked` is the query. Raises ValueError on a date or size that
    is none.

    A page follows the message that its token names, so that new messages do not shift it.
    """
    found = [each for each in messages if _matches(each, asked)]
    size = int(asked.get("PageSize", PAGE_SIZE))
    number = int(asked.get("Page", 0))
    if not (1 <= size <= PAGE_SIZE_LIMIT and number >= 0):
        raise ValueError("PageSize")
    start = _after(found, asked["PageToken"]) if "PageToken" in asked else number * size
    shown = found[start : start + size]
    kept = {name: asked[name] for name in FILTERS if name in asked} | {"PageSize": str(size)}

    def uri(page: int, last: TextMessage | None) -> str:
        token = {"PageToken": f"PA{last.sid}"} if last else {}
        return f"{path}?{urlencode(kept | {'Page': str(page)} | token)}"

    before = found[start - size - 1] if start > size else None
    return {
        "end": number * size + max(0, len(shown) - 1),
        "first_page_uri": uri(0, None),
        "messages": [message_json(each) for each in shown],
        "next_page_uri": uri(number + 1, shown[-1]) if start + size < len(found) else None,
        "page": number,
        "page_size": size,
        "previous_page_uri": uri(number - 1, before) if number else None,
        "start": number * size,
        "uri": uri(number, found[start - 1] if start else None),
    }


def _after(found: Sequence[TextMessage], token: str) -> int:
    places = [place for place, each in enumerate(found, 1) if f"PA{each.sid}" == token]
    return places[0] if places else len(found)


def _matches(message: TextMessage, asked: Mapping[str, str]) -> bool:
    """What was not sent yet has no date, and no filter by date finds it."""
    sent = message.sent_at.replace(microsecond=0) if message.sent_at else None
    return (
        asked.get("To") in (None, "", message.to)
        and asked.get("From") in (None, "", message.from_)
        and ("DateSent" not in asked or (sent is not None and _spans(asked["DateSent"], sent)))
        and ("DateSent<" not in asked or (sent is not None and not _is_before(asked["DateSent<"], sent)))
        and ("DateSent>" not in asked or (sent is not None and not _is_after(asked["DateSent>"], sent)))
    )


def _spans(told: str, sent: datetime) -> bool:
    return not _is_before(told, sent) and not _is_after(told, sent)


def _is_before(told: str, sent: datetime) -> bool:
    """Whether a day or an instant is wholly before `sent`."""
    when = _when(told)
    return when < sent if isinstance(when, datetime) else when < sent.astimezone(UTC).date()


def _is_after(told: str, sent: datetime) -> bool:
    when = _when(told)
    return when > sent if isinstance(when, datetime) else when > sent.astimezone(UTC).date()


def _when(told: str) -> date | datetime:
    """``YYYY-MM-DD`` is a day in GMT; the client also writes an instant, in seconds. Raises ValueError."""
    if "T" not in told and " " not in told:
        return date.fromisoformat(told)
    instant = datetime.fromisoformat(told)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _rfc2822(at: datetime | None) -> str | None:
    return None if at is None else format_datetime(at.astimezone(UTC).replace(microsecond=0))
