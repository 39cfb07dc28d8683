"""What a shopper can choose, one yes or no for each purpose and channel, and what a filled-in form changes."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from consent.entry import Action, Channel, Entry, Purpose, questions, standing

SOURCE = "preference page"
UNSUBSCRIBE = "unsubscribe link"
ACTOR = "subject"


@dataclass(frozen=True, slots=True)
class Choice:
    """One question that a shopper answers with yes or no."""

    purpose: Purpose
    channel: Channel | None

    @property
    def name(self) -> str:
        """As forms and texts name it, such as ``marketing-sms``."""
        return self.purpose.value if self.channel is None else f"{self.purpose.value}-{self.channel.value}"


CHOICES = tuple(Choice(purpose, channel) for purpose, channel in questions())
DIRECT_MARKETING = tuple(Purpose)
"""What an objection to direct marketing ends: every purpose there is. Where the phone is and what is in the cart is
asked for to make offers, and for nothing else."""


@dataclass(frozen=True, slots=True)
class Change:
    """One choice that the shopper made otherwise than it stood."""

    choice: Choice
    action: Action


def allowed(entries: Sequence[Entry], at: datetime) -> frozenset[str]:
    """The names of the choices that stand at yes."""
    return frozenset(
        choice.name for choice in CHOICES if standing(entries, choice.purpose, choice.channel, at).allowed
    )


def changes(shown: Collection[str], chosen: Collection[str], stands: Collection[str]) -> Iterator[Change]:
    """What a form that showed the choices `shown` at yes, and came back with `chosen`, changes where `stands` is so by
    now. Withdrawals come first.

    Only what was touched counts: a page that was opened before a STOP and sent after it does not grant anew.
    """
    for choice in CHOICES:
        if choice.name in shown and choice.name not in chosen and choice.name in stands:
            yield Change(choice, Action.WITHDRAW)
    for choice in CHOICES:
        if choice.name in chosen and choice.name not in shown and choice.name not in stands:
            yield Change(choice, Action.GRANT)


def entry_of(
    change: Change, subject: str, text_version: str | None, entries: Iterable[Entry], now: datetime
) -> Entry:
    """The ledger's entry for a change: after everything said before, whichever clock wrote it."""
    return Entry(
        id=uuid4().hex,
        subject=subject,
        purpose=change.choice.purpose,
        channel=change.choice.channel,
        action=change.action,
        source=SOURCE,
        text_version=text_version,
        at=max((now, *(entry.at for entry in entries))),
        recorded_at=now,
        actor=ACTOR,
    )


def withdrawal(
    purpose: Purpose, subject: str, source: str, actor: str, entries: Iterable[Entry], now: datetime
) -> Entry:
    """The ledger's entry that ends a purpose on every channel, after everything said before."""
    return Entry(
        id=uuid4().hex,
        subject=subject,
        purpose=purpose,
        channel=None,
        action=Action.WITHDRAW,
        source=source,
        text_version=None,
        at=max((now, *(entry.at for entry in entries))),
        recorded_at=now,
        actor=actor,
    )
