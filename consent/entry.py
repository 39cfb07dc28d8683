"""What a subject said about one purpose, and the fold that tells what stands: consent is never a stored boolean."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from consent.errors import FieldError, InvalidConsent

ID = re.compile(r"[A-Za-z0-9._:@~-]{1,128}")
"""The shape of every id that callers choose."""

ID_RULE = "1 to 128 of the characters A-Z a-z 0-9 . _ : @ ~ -"
SOURCE_LIMIT_CHARS = 200
EVIDENCE_LIMIT_CHARS = 200
PARTNER_LIMIT_CHARS = 100
JURISDICTION = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?")
TEXT_VERSION_LIMIT_CHARS = 100
FUTURE_LIMIT = timedelta(minutes=2)
"""How far ahead the clock of whoever reports may be."""

AGE_LIMIT = timedelta(days=3653)
"""Ten years: an older entry cannot be shown to have been informed by any text still kept."""


class Purpose(StrEnum):
    """What the data would be used for. One consent carries one purpose."""

    LOCATION = "location"
    MARKETING = "marketing"
    PROFILING = "profiling"
    CART = "cart"


class Channel(StrEnum):
    """The way a marketing message would travel."""

    SMS = "sms"
    PUSH = "push"


class Action(StrEnum):
    """What was done."""

    GRANT = "grant"
    WITHDRAW = "withdraw"


class Reason(StrEnum):
    """Why something is allowed, or is not."""

    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
    NEVER_ASKED = "never_asked"
    NEEDS_RENEWAL = "needs_renewal"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger. `at` is when it occurred, `recorded_at` when it was written down; both aware, kept in
    UTC. `seq` is its place in the ledger, None until it has one.

    A marketing grant names its channel; a marketing withdrawal without one withdraws every channel; the other
    purposes take none. A grant says where it was given (`source`) and which text was shown (`text_version`); a
    withdrawal needs only the source. Raises InvalidConsent for any other shape.

    `text_hash` is the SHA-256 of that text, in hex, and `language` its language tag, where it is a published notice;
    `evidence` names what shows that it happened (a scan, a call, a message), `jurisdiction` the law it was given under
    (ISO 3166), `partner` who collected it for us. `renewal_due` is no part of the entry: since when its text is no
    longer the one to be agreed to.
    """

    id: str
    subject: str
    purpose: Purpose
    channel: Channel | None
    action: Action
    source: str
    text_version: str | None
    at: datetime
    recorded_at: datetime
    actor: str
    language: str | None = None
    text_hash: str | None = None
    evidence: str | None = None
    jurisdiction: str | None = None
    partner: str | None = None
    seq: int | None = None
    renewal_due: datetime | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", _in_utc(self.at))
        object.__setattr__(self, "recorded_at", _in_utc(self.recorded_at))
        if flaws := tuple(_flaws(self)):
            raise InvalidConsent("invalid_consent", flaws)

    @property
    def is_unproven(self) -> bool:
        """Whether a partner brings it without evidence, or without saying when it was collected."""
        unshown = self.evidence is None or self.at >= self.recorded_at
        return self.action is Action.GRANT and self.partner is not None and unshown


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a purpose is allowed, why, and the entry that decided (None when there never was one)."""

    allowed: bool
    because: Entry | None
    reason: Reason


def standing(entries: Iterable[Entry], purpose: Purpose, channel: Channel | None, at: datetime) -> Standing:
    """Fold one subject's entries, in any order, into what stood at `at` for exactly this purpose and channel.

    The entry that occurred last decides, at a tie the withdrawal; entries that occurred after `at` do not count.
    No entry means no; neither does a grant carry that a partner cannot prove, or whose text has materially changed.
    """
    counted = [entry for entry in entries if entry.at <= at and _concerns(entry, purpose, channel)]
    if not counted:
        return Standing(allowed=False, because=None, reason=Reason.NEVER_ASKED)
    because = max(counted, key=_precedence)
    reason = weigh(because.action, is_unproven=because.is_unproven, renewal_due=because.renewal_due, at=at)
    return Standing(allowed=reason is Reason.GRANTED, because=because, reason=reason)


def weigh(action: Action, *, is_unproven: bool, renewal_due: datetime | None, at: datetime) -> Reason:
    """What the entry that decides comes to at `at`."""
    if action is Action.WITHDRAW:
        return Reason.WITHDRAWN
    if is_unproven:
        return Reason.UNPROVEN
    return Reason.NEEDS_RENEWAL if renewal_due is not None and renewal_due <= at else Reason.GRANTED


def questions() -> Iterator[tuple[Purpose, Channel | None]]:
    """Every (purpose, channel) a subject can be asked about."""
    for purpose in Purpose:
        if purpose is Purpose.MARKETING:
            yield from ((purpose, channel) for channel in Channel)
        else:
            yield purpose, None


def occurred(at: datetime | None, now: datetime) -> datetime:
    """When an entry reported `now` counts as having occurred: at `at`, or now when none is given.

    A clock that is up to two minutes fast is forgiven and the entry occurs now: an entry in the future would let a
    withdrawal wait, or let a grant outlive the withdrawal that follows it. Raises InvalidConsent beyond that, and
    for anything older than ten years.
    """
    at = now if at is None else at
    if not now - AGE_LIMIT <= at <= now + FUTURE_LIMIT:
        said = "must lie within the last ten years and at most 2 minutes ahead of the server's clock"
        raise InvalidConsent("invalid_consent", [FieldError("at", said)])
    return min(at, now)


def _concerns(entry: Entry, purpose: Purpose, channel: Channel | None) -> bool:
    withdraws_all = entry.action is Action.WITHDRAW and entry.channel is None
    return entry.purpose is purpose and (entry.channel is channel or withdraws_all)


def _precedence(entry: Entry) -> tuple[datetime, bool, datetime, str]:
    """The last two only make the choice between equals the same on every machine."""
    return entry.at, entry.action is Action.WITHDRAW, entry.recorded_at, entry.id


def _in_utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a naive datetime has no instant; give it a zone")
    return at.astimezone(UTC)


def _flaws(entry: Entry) -> Iterator[FieldError]:
    for name, value in (("id", entry.id), ("subject", entry.subject)):
        if not ID.fullmatch(value):
            yield FieldError(name, f"must be {ID_RULE}")
    if not _is_line(entry.source, SOURCE_LIMIT_CHARS):
        yield FieldError(
            "source", f"must say where it was done, in one line of 1 to {SOURCE_LIMIT_CHARS} characters"
        )
    for name, text, limit_chars in (
        ("evidence", entry.evidence, EVIDENCE_LIMIT_CHARS),
        ("partner", entry.partner, PARTNER_LIMIT_CHARS),
    ):
        if text is not None and not _is_line(text, limit_chars):
            yield FieldError(name, f"must be one line of 1 to {limit_chars} characters")
    if entry.jurisdiction is not None and not JURISDICTION.fullmatch(entry.jurisdiction):
        yield FieldError("jurisdiction", "must be a code of ISO 3166, such as FR or US-WA")
    yield from _text_version_flaws(entry)
    yield from _channel_flaws(entry)


def _text_version_flaws(entry: Entry) -> Iterator[FieldError]:
    if entry.text_version is None:
        if entry.action is Action.GRANT:
            yield FieldError("text_version", "a grant must name the text that was shown")
    elif not _is_line(entry.text_version, TEXT_VERSION_LIMIT_CHARS):
        yield FieldError("text_version", f"must be one line of 1 to {TEXT_VERSION_LIMIT_CHARS} characters")


def _channel_flaws(entry: Entry) -> Iterator[FieldError]:
    if entry.purpose is not Purpose.MARKETING:
        if entry.channel is not None:
            yield FieldError("channel", f"{entry.purpose} takes no channel; leave it out")
    elif entry.channel is None and entry.action is Action.GRANT:
        yield FieldError("channel", f"a marketing grant must name one of {', '.join(Channel)}")


def _is_line(text: str, limit_chars: int) -> bool:
    return 1 <= len(text) <= limit_chars and text.isprintable() and not text.isspace()
