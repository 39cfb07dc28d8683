"""The judgement: whether this event makes this campaign speak to this subject now, and exactly why or why not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from campaigns.campaign import Campaign, CampaignState, due_state, speaking
from campaigns.country_rules import CountryRules, Reading
from campaigns.experiments.experiment import draw_variant
from campaigns.gates import (
    Asked,
    Gate,
    GateName,
    Moment,
    Reason,
    Verdict,
    approval_told,
    asks_of_somebody,
    cart_told,
    consent_told,
    deeds_told,
    gate_json,
    place_or_anywhere,
    place_told,
    tell,
    text_of,
    valid_until,
)
from campaigns.lifecycle.approval import NOT_ASKED, Clearance
from campaigns.limits.account import Account, caps_in_force
from campaigns.limits.cap import Sent, cap_counts
from campaigns.message import Message, derived_id, message_id
from campaigns.triggers.cart import CartEvent
from campaigns.triggers.trigger import Deed
from campaigns.verdicts import Answer, Case, cart_reason, case_of, consent_reason, hold_json, judge
from consent.countries.hours import is_open_on_all
from consent.countries.place import Origin
from consent.countries.ruling import Hold
from consent.entry import Channel, Purpose, Standing
from consent.entry import Reason as StandingReason
from geofences.geofence import Geofence

TEST_ASKS = frozenset(
    {
        GateName.SUBJECT,
        GateName.LOCATION_CONSENT,
        GateName.CONSENT,
        GateName.SUPPRESSION,
        GateName.COUNTRY_HOURS,
        GateName.COUNTRY_CAP,
        GateName.ADDRESS,
        GateName.COUNTRY_SENDER,
        GateName.TEXT,
        GateName.COUNTRY_WORDS,
    }
)
"""What a test is asked: the law, and whether there is a text and an address; not what the campaign sets itself."""


class Outcome(StrEnum):
    """What a decision leads to."""

    MESSAGE = "message"
    REFUSED = "refused"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Decision:
    """One judgement, unique per event and campaign. `gates` holds every `GateName` once, in order.

    `version` is the campaign's that was judged; None of those from before versions. `variant` is what the subject was, or
    would have been, told; None where nothing is varied. A `test` was asked for by somebody, and counts nowhere.
    `judged_at` is when its gates were asked, if that was before `at`: it was held, and ended without being judged again.
    """

    id: str
    event: str
    campaign: str
    subject: str | None
    geofence: str | None
    outcome: Outcome
    reason: Reason
    gates: tuple[Gate, ...]
    at: datetime
    version: int | None
    variant: str | None = None
    test: bool = False
    judged_at: datetime | None = None


AT_ONCE = frozenset(
    {
        GateName.CAMPAIGN_ACTIVE,
        GateName.APPROVAL,
        GateName.TRIGGER,
        GateName.SUBJECT,
        GateName.LOCATION_CONSENT,
        GateName.CONSENT,
        GateName.SUPPRESSION,
        GateName.PROFILING,
        GateName.VISITS,
        GateName.CART,
        GateName.AUDIENCE,
        GateName.CANCEL_IF,
        GateName.FIX,
        GateName.ADDRESS,
        GateName.TEXT,
    }
)
"""The gates whose no ends a moment that is to wait; the others ask about the time at which the offer goes."""


def decide(campaign: Campaign, moment: Moment, now: datetime, *, test: bool = False) -> Decision:
    """Judge one campaign at one moment. Every gate is asked and recorded; the first that fails is the reason. Before its
    delay is over the moment is held, unless a gate says no `AT_ONCE`; it is then judged anew. A test is
    asked `TEST_ASKS` alone.

    For two events of one subject at a time, the caller holds the subject's lock while it reads `moment.sent`
    and records the decision; otherwise both might find room under the cap.
    """
    variant = draw_variant(campaign.experiment, moment.recipient.id) if moment.recipient else None
    campaign = speaking(campaign, variant.name) if variant else campaign
    asked, case = Asked(campaign, moment, now), case_of(campaign, moment, now)
    gates, reasons = [], {}
    for name in GateName:
        told = tell(name, asked) if is_asked(name, case.subject, test=test) else None
        if told is None:
            gates.append(Gate(name, Verdict.SKIP, {}))
            continue
        answer = judge(name, told, case)
        gates.append(gate_of(name, answer))
        reasons[name] = answer.reason
    outcome, reason = conclude(reasons)
    return Decision(
        id=decision_id(moment.event.id, campaign.id),
        event=moment.event.id,
        campaign=campaign.id,
        subject=moment.recipient.id if moment.recipient else None,
        geofence=moment.event.geofence,
        outcome=outcome,
        reason=reason,
        gates=tuple(gates),
        at=now,
        version=campaign.version,
        variant=variant.name if variant else None,
        test=test,
    )


def decision_id(event: str, campaign: str) -> str:
    """The id of the decision on this event for this campaign; the same however often it is made."""
    return derived_id("decision", event, campaign)


def is_asked(name: GateName, subject: str | None, *, test: bool) -> bool:
    """Whether a gate is asked at all, about this subject (None: nobody known)."""
    return (not test or name in TEST_ASKS) and (subject is not None or not asks_of_somebody(name))


def gate_of(name: GateName, answer: Answer) -> Gate:
    """The gate with its answer."""
    if answer.reason is Reason.OK:
        return Gate(name, Verdict.PASS, answer.input)
    return Gate(name, Verdict.FAIL, answer.input, answer.reason)


def conclude(reasons: Mapping[GateName, Reason]) -> tuple[Outcome, Reason]:
    """What the answers of all gates that were asked come to; they are in the order in which they were asked."""
    failed = {name: reason for name, reason in reasons.items() if reason is not Reason.OK}
    if not failed:
        return Outcome.MESSAGE, Reason.OK
    if GateName.DELAY in failed and not failed.keys() & AT_ONCE:
        return Outcome.HELD, Reason.DELAYED
    return Outcome.REFUSED, next(iter(failed.values()))


def due_at(decision: Decision) -> datetime:
    """When a decision that is `held` is to be made anew, as its gate `delay` says."""
    delay = next(gate for gate in decision.gates if gate.gate is GateName.DELAY)
    return datetime.fromisoformat(delay.input["due_at"])


def compose(decision: Decision, campaign: Campaign, moment: Moment) -> Message | None:
    """The message that a decision calls for; None if it calls for none."""
    if decision.outcome is not Outcome.MESSAGE or moment.recipient is None:
        return None
    text = text_of(speaking(campaign, decision.variant), moment)
    return Message(
        id=message_id(decision.event, campaign.id),
        event=decision.event,
        campaign=campaign.id,
        subject=moment.recipient.id,
        geofence=decision.geofence,
        channel=campaign.channel,
        text=text,
        created_at=decision.at,
        valid_until=valid_until(campaign, moment.event),
        version=campaign.version,
        variant=decision.variant,
        visit=moment.visit,
        cost_micros=moment.account.costs.of(campaign.channel, text, moment.recipient.origin),
        counted_on=moment.account.day(decision.at),
        test=decision.test,
    )


def may_still_send(
    message: Message,
    campaign: Campaign | None,
    *,
    marketing: Standing,
    location: Standing,
    suppressed: bool,
    geofence: Geofence | None,
    origin: Origin | None,
    earlier: Sequence[Sent],
    has_address: bool,
    done: frozenset[Deed] = frozenset(),
    profiling: Standing | None = None,
    carting: Standing | None = None,
    carts: Sequence[CartEvent] = (),
    rules: CountryRules,
    account: Account,
    now: datetime,
    clearance: Clearance = NOT_ASKED,
) -> Answer:
    """Judge again, at the moment of sending, what may have changed since the decision; `OK` lets it go.

    `suppressed` is whether the address is on the suppression list. `earlier` holds the messages to the subject that
    come before this one; `done` what they did since the event, of what calls the campaign off; `carts` their open ones.
    """
    if now >= message.valid_until:
        return Answer({}, Reason.TOO_LATE)
    if campaign is None or due_state(campaign, now) is not CampaignState.ACTIVE:
        return Answer({}, Reason.CAMPAIGN_NOT_ACTIVE)
    case = Case(campaign, message.subject, message.geofence, now)
    approved = judge(GateName.APPROVAL, approval_told(clearance), case)
    allowed = _still_allowed(campaign, location, marketing, profiling)
    called_for = _still_called_for(case, geofence, done)
    carted = _still_carted(case, message.event, carting, carts)
    for answer in (approved, *allowed, *called_for, *carted):
        if answer.reason is not Reason.OK:
            return answer
    if suppressed:
        return Answer({}, Reason.SUPPRESSED)
    where = place_or_anywhere(campaign, geofence, message.geofence)
    reading = Reading(where, origin, message.channel)
    if not is_open_on_all(campaign.windows, now, reading.clocks):
        return Answer({}, Reason.OUTSIDE_WINDOW)
    caps = caps_in_force(campaign, account)
    if any(count.is_full for count in cap_counts(caps, earlier, campaign.id, message.geofence, now)):
        return Answer({}, Reason.CAP_REACHED)
    for hold, reason in _country_holds(rules, reading, message.text, earlier, now):
        if hold is not None:
            return Answer(hold_json(hold), reason)
    return Answer({}, Reason.OK if has_address else Reason.NO_ADDRESS)


def _still_allowed(
    campaign: Campaign, location: Standing, marketing: Standing, profiling: Standing | None
) -> Iterator[Answer]:
    """The consents, as they stand by now."""
    if campaign.uses_location:
        yield _standing(Purpose.LOCATION, location)
    yield _standing(Purpose.MARKETING, marketing, campaign.channel)
    if campaign.profiles:
        yield _standing(Purpose.PROFILING, profiling)


def _standing(purpose: Purpose, standing: Standing | None, channel: Channel | None = None) -> Answer:
    reason = standing.reason if standing else StandingReason.NEVER_ASKED
    return Answer(consent_told(purpose, standing, channel), consent_reason(purpose, reason))


def _still_called_for(case: Case, geofence: Geofence | None, done: frozenset[Deed]) -> Iterator[Answer]:
    """What a trigger asks beyond its event, as far as it may have changed."""
    yield judge(GateName.CANCEL_IF, deeds_told(case.campaign, done), case)
    yield judge(GateName.OPENING_HOURS, place_told(case.campaign, geofence, case.at), case)


def _still_carted(
    case: Case, event: str, carting: Standing | None, carts: Sequence[CartEvent]
) -> Iterator[Answer]:
    """The cart that the campaign asks for, and whether it may be looked at."""
    if case.campaign.trigger.cart is not None:
        yield _standing(Purpose.CART, carting)
        told = cart_told(case.campaign, event, carts, case.at)
        yield Answer(told, cart_reason(told, case))


def _country_holds(
    rules: CountryRules, reading: Reading, text: str, earlier: Sequence[Sent], now: datetime
) -> Iterator[tuple[Hold | None, Reason]]:
    yield rules.by_hours(reading, now), Reason.COUNTRY_HOURS
    yield rules.by_cap(reading, [sent.at for sent in earlier], now), Reason.COUNTRY_CAP
    if rules.strict:
        yield rules.by_sender(reading, now), Reason.COUNTRY_SENDER
        yield rules.by_words(reading, text, now), Reason.COUNTRY_WORDS


def decision_json(decision: Decision) -> dict[str, Any]:
    """A decision as the API and the export write it."""
    return {
        "id": decision.id,
        "event": decision.event,
        "campaign": decision.campaign,
        "version": decision.version,
        "variant": decision.variant,
        "subject": decision.subject,
        "geofence": decision.geofence,
        "outcome": decision.outcome.value,
        "reason": decision.reason.value,
        "gates": [gate_json(gate) for gate in decision.gates],
        "at": decision.at.isoformat(),
        "test": decision.test,
    }
