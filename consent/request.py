"""What a shopper may ask of us by law, and by when it must be answered."""

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from consent.errors import FieldError, InvalidConsent, RequestClosed

TEXT_LIMIT_CHARS = 500
MEANS_LIMIT_CHARS = 100
ANSWERED_WITHIN_MONTHS = 1
EXTENDED_BY_MONTHS = 2
"""GDPR article 12(3): one month from receipt, which may be extended by two further months where necessary."""


class RequestKind(StrEnum):
    """The right that is used."""

    ACCESS = "access"
    ERASURE = "erasure"
    OBJECTION = "objection"
    RECTIFICATION = "rectification"


class Outcome(StrEnum):
    """How a request ended."""

    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PrivacyRequest:
    """One request of one subject. `means` is how it came in; `identity_check` says how it was made sure that the
    subject asks, never with what document's content. Extended once at most, with a reason. Raises InvalidConsent.
    """

    id: str
    subject: str
    kind: RequestKind
    means: str
    received_at: datetime
    due_at: datetime
    actor: str
    identity_check: str | None = None
    extended_at: datetime | None = None
    extension_reason: str | None = None
    closed_at: datetime | None = None
    outcome: Outcome | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        if flaws := tuple(_flaws(self)):
            raise InvalidConsent("invalid_request", flaws)

    def is_overdue(self, at: datetime) -> bool:
        """Whether it is open although it had to be answered."""
        return self.closed_at is None and at > self.due_at


def received(
    request_id: str,
    subject: str,
    kind: RequestKind,
    means: str,
    actor: str,
    at: datetime,
    identity_check: str | None = None,
) -> PrivacyRequest:
    """A request that came in at `at`; due within a month."""
    due_at = months_later(at, ANSWERED_WITHIN_MONTHS)
    return PrivacyRequest(request_id, subject, kind, means, at, due_at, actor, identity_check)


def extended(request: PrivacyRequest, reason: str, at: datetime) -> PrivacyRequest:
    """The request with two more months. Raises RequestClosed when it is closed, was extended, or is overdue already:
    the subject is to be told of an extension within the first month.
    """
    if request.closed_at is not None:
        raise RequestClosed("the request is closed; a new one starts a new month")
    if request.extended_at is not None:
        raise RequestClosed("the request was extended before; the law allows it once")
    if request.is_overdue(at):
        raise RequestClosed("the first month is over; an extension had to be told within it")
    due_at = months_later(request.received_at, ANSWERED_WITHIN_MONTHS + EXTENDED_BY_MONTHS)
    return replace(request, due_at=due_at, extended_at=at, extension_reason=reason)


def closed(request: PrivacyRequest, outcome: Outcome, note: str | None, at: datetime) -> PrivacyRequest:
    """The request, answered. Raises RequestClosed when it was before; InvalidConsent for a refusal without a note."""
    if request.closed_at is not None:
        raise RequestClosed("the request is closed already")
    if outcome is Outcome.REFUSED and not note:
        raise InvalidConsent("invalid_request", [FieldError("note", "a refusal must say why")])
    return replace(request, closed_at=at, outcome=outcome, note=note)


def months_later(at: datetime, months: int) -> datetime:
    """The same day and time so many months later, in UTC; the month's last day where it has no such day."""
    at = at.astimezone(UTC)
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    return at.replace(year=year, month=month + 1, day=min(at.day, monthrange(year, month + 1)[1]))


def has_card_number(text: str) -> bool:
    """Whether the text holds 13 to 19 digits, perhaps spaced, that pass the check of payment cards (Luhn)."""
    runs = re.findall(r"[0-9](?:[ -]?[0-9])*", text)
    numbers = ([int(char) for char in run if char.isdigit()] for run in runs)
    return any(13 <= len(digits) <= 19 and _is_luhn(digits) for digits in numbers)


def _is_luhn(digits: list[int]) -> bool:
    doubled = (digit * 2 if place % 2 else digit for place, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _flaws(request: PrivacyRequest) -> Iterator[FieldError]:
    for at in (request.received_at, request.due_at, request.extended_at, request.closed_at):
        if at is not None and at.tzinfo is None:
            raise ValueError("a naive datetime has no instant; give it a zone")
    free = {
        "means": (request.means, MEANS_LIMIT_CHARS),
        "identity_check": (request.identity_check, TEXT_LIMIT_CHARS),
        "reason": (request.extension_reason, TEXT_LIMIT_CHARS),
        "note": (request.note, TEXT_LIMIT_CHARS),
    }
    for field, (text, limit_chars) in free.items():
        if text is None:
            continue
        if not (1 <= len(text) <= limit_chars and text.isprintable() and not text.isspace()):
            yield FieldError(field, f"must be one line of 1 to {limit_chars} characters")
        elif has_card_number(text):
            yield FieldError(field, "holds what looks like a card number; leave it out")
