"""The daily check that every refusal was heeded: whether anything went, or waits to go, to somebody who had said no."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from consent.entry import Action, Channel, Entry, Purpose, standing

OVERLAP = timedelta(seconds=2)
"""A refusal is written down this long, at most, before it is answered; what began to be sent meanwhile was in time."""

GRACE = timedelta(minutes=5)
"""The sender cancels what waits for somebody who refused long before; later, it waits for a sender that is down."""


class Kind(StrEnum):
    """What was found. An `overlap` is no breach: sending began while the refusal was being written down."""

    SENT = "sent"
    WAITING = "waiting"
    OVERLAP = "overlap"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Somebody's no, in force from `at`: a withdrawal in the ledger, or a suppressed number. `by` names which."""

    subject: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of one message. `started_at` are its attempts; none if it was never handed to a provider."""

    id: str
    subject: str
    campaign: str
    channel: Channel
    waits: bool
    started_at: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One message that went, or waits, against a refusal."""

    kind: Kind
    message: str
    campaign: str
    refused_by: str
    refused_at: datetime
    started_at: datetime | None


@dataclass(frozen=True, slots=True)
class BreachCheck:
    """The check of one UTC day's refusals: how many there were, how many messages to whom were looked at, the findings."""

    day: date
    checked_at: datetime
    withdrawals: int
    messages: int
    findings: tuple[Finding, ...]

    @property
    def breaches(self) -> tuple[Finding, ...]:
        """The findings that are breaches."""
        return tuple(each for each in self.findings if each.kind is not Kind.OVERLAP)


def span_of(day: date) -> tuple[datetime, datetime]:
    """The first instant of a UTC day, and of the next."""
    start = datetime.combine(day, time(), UTC)
    return start, start + timedelta(days=1)


def refusals_of(withdrawals: Iterable[Entry]) -> list[Refusal]:
    """The refusals that the ledger holds: those of offers, and those of location, without which there are none."""
    heeded = (Purpose.MARKETING, Purpose.LOCATION)
    return [
        Refusal(each.subject, each.recorded_at, each.id) for each in withdrawals if each.purpose in heeded
    ]


def findings(
    refusals: Sequence[Refusal],
    entries: Mapping[str, Sequence[Entry]],
    messages: Iterable[Handled],
    now: datetime,
) -> Iterator[Finding]:
    """What went, or waits, against one of the refusals. `entries` is what each subject said in all, so that a refusal
    that was taken back since counts only as long as it stood.
    """
    by_subject: dict[str, list[Refusal]] = {}
    for refusal in sorted(refusals, key=lambda each: each.at):
        by_subject.setdefault(refusal.subject, []).append(refusal)
    for message in messages:
        said = entries.get(message.subject, ())
        for refusal in by_subject.get(message.subject, ()):
            found = _finding(message, refusal, said, now)
            if found is not None:
                yield found
                break


def check_json(check: BreachCheck) -> dict[str, Any]:
    """A check as the API writes it."""
    return {
        "day": check.day.isoformat(),
        "checked_at": check.checked_at.isoformat(),
        "withdrawals": check.withdrawals,
        "messages": check.messages,
        "breaches": len(check.breaches),
        "findings": [finding_json(each) for each in check.findings],
    }


def finding_json(finding: Finding) -> dict[str, Any]:
    """A finding as the API writes it and the store keeps it."""
    return {
        "kind": finding.kind.value,
        "message": finding.message,
        "campaign": finding.campaign,
        "refused_by": finding.refused_by,
        "refused_at": finding.refused_at.isoformat(),
        "started_at": finding.started_at.isoformat() if finding.started_at else None,
    }


def finding_from_json(raw: Mapping[str, Any]) -> Finding:
    """Read back what `finding_json` wrote."""
    return Finding(
        kind=Kind(raw["kind"]),
        message=raw["message"],
        campaign=raw["campaign"],
        refused_by=raw["refused_by"],
        refused_at=datetime.fromisoformat(raw["refused_at"]),
        started_at=datetime.fromisoformat(raw["started_at"]) if raw["started_at"] else None,
    )


def _finding(message: Handled, refusal: Refusal, said: Sequence[Entry], now: datetime) -> Finding | None:
    def found(kind: Kind, started_at: datetime | None) -> Finding:
        return Finding(kind, message.id, message.campaign, refusal.by, refusal.at, started_at)

    went = [at for at in message.started_at if at > refusal.at and _stood(refusal, message, said, at)]
    if went:
        return found(Kind.SENT if went[-1] > refusal.at + OVERLAP else Kind.OVERLAP, went[-1])
    if message.waits and now > refusal.at + GRACE and _stood(refusal, message, said, now):
        return found(Kind.WAITING, None)
    return None


def _stood(refusal: Refusal, message: Handled, said: Sequence[Entry], at: datetime) -> bool:
    """Whether the refusal was in force for this message at `at`, by what was written down by then."""
    known = [entry for entry in said if entry.recorded_at <= at]
    withdrawal = next((entry for entry in known if entry.id == refusal.by), None)
    if withdrawal is None:
        return message.channel is Channel.SMS  # a suppressed number: nothing in the ledger takes it back
    if withdrawal.channel not in (None, message.channel):
        return False
    channel = message.channel if withdrawal.purpose is Purpose.MARKETING else None
    because = standing(known, withdrawal.purpose, channel, at).because
    return because is None or because.action is Action.WITHDRAW
