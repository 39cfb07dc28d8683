"""What a shopper's text does: STOP withdraws at once, START renews what was given before, HELP only answers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from consent import address, ledger, opt_in, review, store, suppression
from consent.admission import MINORITY
from consent.answers import Answer, language_of, words_of
from consent.entry import Action, Channel, Entry, Purpose, Reason, standing
from consent.errors import InvalidConsent
from consent.keywords import SUPPRESSING, Verdict, classify, is_mere_yes
from consent.phone import normalise

SOURCE = "sms"
ACTOR = "subject"
ERASURE = "erasure"
"""The source of the withdrawals an erasure leaves behind."""
NEVER_RENEWED = frozenset({ERASURE, MINORITY})
"""Nothing granted before a withdrawal from these sources is ever renewed."""

ANSWERED_WITHIN = timedelta(minutes=5)
"""A confirmation that is later than this is presumed to be no confirmation (47 CFR 64.1200(a)(12))."""

RepliesBy = Literal["provider", "engine", "none"]


@dataclass(frozen=True, slots=True)
class InboundPolicy:
    """Who answers a shopper's text, in whose name. `default_region` (ISO 3166) reads a number without a country."""

    brand: str
    contact: str
    replies_by: RepliesBy = "engine"
    default_region: str = "FR"


@dataclass(frozen=True, slots=True)
class InboundResult:
    """What a text was taken to mean, the ids of the subjects it came from, and what to answer (None: nothing)."""

    verdict: Verdict
    subjects: tuple[str, ...]
    reply_text: str | None


def answer_inbound(
    conn: Connection,
    sid: str,
    from_number: str,
    body: str,
    opt_out_type: str | None,
    at: datetime,
    settings: InboundPolicy,
) -> InboundResult:
    """Act on one text and say how to answer it. The same `sid` again changes nothing and gives the same answer.

    An opt-out, also a doubtful one, withdraws marketing by SMS for every subject with the number. `opt_out_type` is
    what the provider made of the text (STOP, START, HELP); if it and the words differ, the opt-out wins, and where it
    stands the provider has answered already. An opt-out is confirmed once, within five minutes or not at all. Neither
    the words nor the number are kept, but for the number's mark on the suppression list, and for words in doubt, until
    somebody has read them (`consent/review.py`).
    """
    verdict = _verdict(body, opt_out_type)
    phone = _phone(from_number, settings.default_region)
    subjects = [] if phone is None else _held(conn, phone)
    message = store.Inbound(sid, verdict, Answer.NONE, _language(conn, subjects, phone), at)
    if not store.add_inbound(conn, message):
        return _as_before(conn, sid, opt_out_type, at, settings)
    address.revive(conn, subjects, Channel.SMS)  # whoever writes from it can be reached at it
    if verdict is Verdict.AMBIGUOUS and subjects:
        review.queue(conn, sid, body)
    renews = not is_mere_yes(body)
    if phone is not None:
        _list(conn, phone, verdict, at, renews=renews)
    answer = _act(conn, sid, verdict, subjects, at, renews=renews)
    store.settle_inbound(conn, sid, answer, subjects)
    reply = _reply(answer, message.language, opt_out_type, settings)
    return InboundResult(verdict=verdict, subjects=tuple(subjects), reply_text=reply)


def _verdict(body: str, opt_out_type: str | None) -> Verdict:
    said = classify(body)
    if said in SUPPRESSING:
        return Verdict.OPT_OUT if opt_out_type == "STOP" else said
    by_type = {"STOP": Verdict.OPT_OUT, "START": Verdict.OPT_IN, "HELP": Verdict.HELP}
    return by_type.get(opt_out_type or "", said)


def _phone(from_number: str, region: str) -> str | None:
    """None for a sender that is no phone number, such as a name or a short code. Twilio writes ``rcs:`` and the like
    before a number that did not come by SMS.
    """
    try:
        return normalise(from_number.rpartition(":")[2], region, "From")
    except InvalidConsent:
        return None


def _held(conn: Connection, phone: str) -> list[str]:
    """The subjects with this number, each under its lock; one that is being erased at this moment is not among them."""
    return [
        subject for subject in store.subjects_with_phone(conn, phone) if store.lock_subject(conn, subject)
    ]


def _language(conn: Connection, subjects: list[str], phone: str | None) -> str:
    locales = [subject.locale for subject in store.get_subjects(conn, subjects).values() if subject.locale]
    return language_of(locales[0] if locales else None, phone)


def _list(conn: Connection, phone: str, verdict: Verdict, at: datetime, *, renews: bool) -> None:
    """Put the number on the suppression list, whether we know it or not, or take it off again."""
    mark = suppression.mark_of(conn, phone)
    if verdict in (Verdict.OPT_OUT, Verdict.AMBIGUOUS):
        suppression.suppress(conn, mark, suppression.Because.OPT_OUT, at)
    elif verdict is Verdict.OPT_IN and renews:
        suppression.lift(conn, mark, at)


def _act(
    conn: Connection, sid: str, verdict: Verdict, subjects: list[str], at: datetime, *, renews: bool
) -> Answer:
    match verdict:
        case Verdict.OPT_OUT | Verdict.AMBIGUOUS:
            told = bool(subjects) and all(_has_been_told(conn, subject, at) for subject in subjects)
            for subject in subjects:
                ledger.record(conn, _entry(sid, subject, Action.WITHDRAW, None, at))
                opt_in.drop(conn, subject)
            return Answer.NONE if told else Answer.OPTED_OUT
        case Verdict.OPT_IN:
            stand = [
                opt_in.confirm(conn, sid, subject, at) or _renew(conn, sid, subject, at, renews=renews)
                for subject in subjects
            ]
            return Answer.OPTED_IN if any(stand) else Answer.NONE
        case Verdict.HELP:
            return Answer.HELP
        case Verdict.OTHER:
            return Answer.NONE


def _has_been_told(conn: Connection, subject: str, at: datetime) -> bool:
    """Whether an earlier text has opted the subject out, and was confirmed: one confirmation per opt-out."""
    because = ledger.standing_of(conn, subject, Purpose.MARKETING, Channel.SMS, at).because
    return because is not None and because.action is Action.WITHDRAW and because.source == SOURCE


def _renew(conn: Connection, sid: str, subject: str, at: datetime, *, renews: bool) -> bool:
    """Grant again what was granted and then withdrawn, with the text shown then. Tells whether a grant stands.
    A mere yes renews nothing: it would answer a question that nobody asked.
    """
    entries = _since_erasure(ledger.entries_of(conn, subject))
    stands = standing(entries, Purpose.MARKETING, Channel.SMS, at)
    grants = [
        entry
        for entry in entries
        if entry.action is Action.GRANT and entry.channel is Channel.SMS and entry.at <= at
    ]
    if stands.reason is Reason.WITHDRAWN and grants and renews:
        shown = max(grants, key=lambda entry: entry.at).text_version
        granted = ledger.record(conn, _entry(sid, subject, Action.GRANT, shown, at))
        return standing((*entries, granted), Purpose.MARKETING, Channel.SMS, at).allowed
    return stands.allowed


def _since_erasure(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    erased = max(
        (place for place, entry in enumerate(entries, 1) if entry.source in NEVER_RENEWED), default=0
    )
    return entries[erased:]


def _entry(sid: str, subject: str, action: Action, text_version: str | None, at: datetime) -> Entry:
    return Entry(
        id=review.entry_id(sid, subject),
        subject=subject,
        purpose=Purpose.MARKETING,
        channel=Channel.SMS,
        action=action,
        source=SOURCE,
        text_version=text_version,
        at=at,
        recorded_at=at,
        actor=ACTOR,
    )


def _as_before(
    conn: Connection, sid: str, opt_out_type: str | None, at: datetime, settings: InboundPolicy
) -> InboundResult:
    kept = store.get_inbound(conn, sid)
    if kept is None:
        raise LookupError("a text that was kept is gone within the same transaction")
    message, subjects = kept
    in_time = at - message.received_at <= ANSWERED_WITHIN
    answer = Answer(message.answer) if in_time else Answer.NONE
    reply = _reply(answer, message.language, opt_out_type, settings)
    return InboundResult(verdict=Verdict(message.verdict), subjects=subjects, reply_text=reply)


def _reply(answer: Answer, language: str, opt_out_type: str | None, settings: InboundPolicy) -> str | None:
    if settings.replies_by != "engine" or opt_out_type:
        return None
    return words_of(answer, language, brand=settings.brand, contact=settings.contact)
