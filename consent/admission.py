"""Which grants may be recorded at all: none of somebody too young, none against an objection that stands."""

from collections.abc import Sequence
from datetime import datetime

from consent.age import AgePolicy, is_too_young
from consent.entry import Action, Entry, standing
from consent.errors import ConsentError, GrantRefused
from consent.subject import Subject

OBJECTION = "objection"
"""The source of the withdrawals that an objection makes."""
MINORITY = "too young"
"""The source of the withdrawals that are made once a subject turns out to be too young."""
SUBJECT = "subject"
"""The actor of what the shopper did themself: by text, or on the preference page."""


def refusal(
    entry: Entry, subject: Subject, entries: Sequence[Entry], policy: AgePolicy, at: datetime
) -> ConsentError | None:
    """Why this entry may not join `entries`; None when it may. A withdrawal always may."""
    if entry.action is Action.WITHDRAW:
        return None
    if is_too_young(subject, policy, at):
        said = "the subject is too young to consent, or is not known to be old enough"
        return GrantRefused("too_young", f"{said}; see the attributes birth_date, birth_year and minor")
    last = standing(entries, entry.purpose, entry.channel, at).because
    if last is not None and last.source == OBJECTION and entry.actor != SUBJECT:
        said = "the subject objected; only they can allow this again, on the preference page or by text"
        return GrantRefused("objected", said)
    return None
