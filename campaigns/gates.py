"""The gates between a moment and a message: each asks one question and tells what its answer rests on."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from campaigns.arbitration import Because, Winner
from campaigns.audience.audience import attribute_names, behaviours, list_names, matches
from campaigns.audience.behaviour import UNKNOWN, Past
from campaigns.campaign import Campaign, CampaignState, PerVisit, due_state, finished_text, speaking
from campaigns.content.languages import NoTextInLanguage
from campaigns.content.links import OWN_LINKS_ONLY, LinkPolicy
from campaigns.content.segments import sms_size
from campaigns.content.template import TextRefused
from campaigns.country_rules import COUNTRY_RULES, CountryRules, Reading
from campaigns.coupons.coupon import SAMPLE, Coupon, NoCouponLeft
from campaigns.delivery.breaker import Breaker, BreakerState
from campaigns.experiments.experiment import NO_CONTROL, Control, draw_lot
from campaigns.lifecycle.approval import NOT_ASKED, Clearance
from campaigns.limits.account import NO_LIMITS, Account, caps_in_force
from campaigns.limits.budget import Limit, limit_json
from campaigns.limits.cap import Sent, cap_counts, count_json
from campaigns.limits.money import money_text
from campaigns.triggers.cart import CartEvent, cart_told, cart_wanted
from campaigns.triggers.occasion import Occasion, Occurrence, Timed
from campaigns.triggers.place_hours import hours_told
from campaigns.triggers.soonest import soonest
from campaigns.triggers.trigger import Deed, Trigger
from campaigns.triggers.visiting import visit_told
from campaigns.wording import Wording
from consent.countries.hours import day_and_time, is_open_on_all, local_time
from consent.countries.place import Anywhere, Origin
from consent.countries.ruling import Hold
from consent.entry import Action, Channel, Standing
from consent.entry import Reason as StandingReason
from geofences.event import Revision
from geofences.geofence import Geofence
from geofences.sensitive import is_sensitive
from geofences.visit import Visit


class GateName(StrEnum):
    """Every question a decision asks, in the order in which it asks them."""

    CAMPAIGN_ACTIVE = "campaign_active"
    APPROVAL = "approval"
    TRIGGER = "trigger"
    SUBJECT = "subject"
    AUDIENCE = "audience"
    LOCATION_CONSENT = "location_consent"
    CONSENT = "consent"
    SUPPRESSION = "suppression"
    PROFILING = "profiling"
    VISITS = "visits"
    CART = "cart"
    CANCEL_IF = "cancel_if"
    DELAY = "delay"
    FIX = "fix"
    SHELF_LIFE = "shelf_life"
    WINDOW = "window"
    OPENING_HOURS = "opening_hours"
    COUNTRY_HOURS = "country_hours"
    CAP = "cap"
    COUNTRY_CAP = "country_cap"
    BUDGET = "budget"
    ARBITRATION = "arbitration"
    ADDRESS = "address"
    COUNTRY_SENDER = "country_sender"
    TEXT = "text"
    COUNTRY_WORDS = "country_words"
    CHANNEL_HEALTH = "channel_health"
    HOLDOUT = "holdout"
    """After all that decides whether somebody may have the offer, so that those held out compare with those who get it."""


class Verdict(StrEnum):
    """A gate's answer; `skip` where there is no subject to ask about."""

    PASS = "pass"  # noqa: S105  # a verdict, no secret
    FAIL = "fail"
    SKIP = "skip"


class Reason(StrEnum):
    """Why a decision came out as it did, or a message was not sent after all."""

    OK = "ok"
    CAMPAIGN_NOT_ACTIVE = "campaign_not_active"
    NOT_APPROVED = "not_approved"
    TRIGGER_MISMATCH = "trigger_mismatch"
    UNKNOWN_SUBJECT = "unknown_subject"
    NO_LOCATION_CONSENT = "no_location_consent"
    LOCATION_CONSENT_WITHDRAWN = "location_consent_withdrawn"
    NO_CONSENT = "no_consent"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    SUPPRESSED = "suppressed"
    NO_PROFILING_CONSENT = "no_profiling_consent"
    PROFILING_CONSENT_WITHDRAWN = "profiling_consent_withdrawn"
    NOT_THIS_VISIT = "not_this_visit"
    NO_CART_CONSENT = "no_cart_consent"
    CART_CONSENT_WITHDRAWN = "cart_consent_withdrawn"
    NO_SUCH_CART = "no_such_cart"
    NOT_IN_AUDIENCE = "not_in_audience"
    FIX_TOO_OLD = "fix_too_old"
    NOT_SURE_ENOUGH = "not_sure_enough"
    CALLED_OFF = "called_off"
    DELAYED = "delayed"
    TOO_LATE = "too_late"
    OUTSIDE_WINDOW = "outside_window"
    PLACE_CLOSED = "place_closed"
    COUNTRY_HOURS = "country_hours"
    CAP_REACHED = "cap_reached"
    COUNTRY_CAP = "country_cap"
    BUDGET_SPENT = "budget_spent"
    LOST_TO = "lost_to"
    NO_ADDRESS = "no_address"
    COUNTRY_SENDER = "country_sender"
    TEXT_REFUSED = "text_refused"
    NO_TEXT_IN_LANGUAGE = "no_text_in_language"
    COUPONS_EXHAUSTED = "coupons_exhausted"
    COUNTRY_WORDS = "country_words"
    HOLDOUT = "holdout"
    GLOBAL_CONTROL = "global_control"
    SWITCHED_OFF = "switched_off"
    NO_CHANNEL = "no_channel"
    EVENT_RETRACTED = "event_retracted"
    CONSENT_NEEDS_RENEWAL = "consent_needs_renewal"
    CONSENT_UNPROVEN = "consent_unproven"
    CHANNEL_DOWN = "channel_down"
    NO_TRACE = "no_trace"
    PROVIDER_REFUSED = "provider_refused"
    CONFIGURATION = "configuration"
    RETRIES_EXHAUSTED = "retries_exhausted"
    COUNTRY_NOT_ALLOWED = "country_not_allowed"
    NOT_A_MOBILE = "not_a_mobile"
    PREFIX_VELOCITY = "prefix_velocity"
    NOT_JUDGED = "not_judged"


@dataclass(frozen=True, slots=True)
class Gate:
    """One question, its answer and what the answer was based on; never a phone number or a position."""

    gate: GateName
    verdict: Verdict
    input: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recipient:
    """What a judgement may know of a subject: attributes, over which channels it has an address at all, and where its
    number is from (None: it has none).
    """

    id: str
    attributes: Mapping[str, Any] = field(repr=False)
    channels: frozenset[Channel]
    origin: Origin | None = None
    suppressed: frozenset[Channel] = frozenset()
    """Channels on which the address is on the suppression list."""
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """All that a judgement is based on, read in the transaction that will record it.

    `geofence` is None once it is deleted, `recipient` when nobody is known behind the device; `marketing` (on
    the campaign's channel) and `location` are the subject's standings, None counting as no. `sent` holds the
    messages of all campaigns that went, or will go, to the subject, as far back as any cap reaches. `budgets` holds the
    limits of money and messages that count. `visit` is the subject's visit of the place (None: there is none), `around`
    every visit, of this place and of others, that the subject is on; `winner` who spoke already in the same moment.
    `coupon` is the code that was taken for the message, None before one is; with `pool_is_empty` there was none.
    """

    event: Occasion
    geofence: Geofence | None
    recipient: Recipient | None
    marketing: Standing | None
    location: Standing | None
    sent: Sequence[Sent] = ()
    rules: CountryRules = COUNTRY_RULES
    account: Account = NO_LIMITS
    budgets: Sequence[Limit] = ()
    visit: str | None = None
    around: AbstractSet[str] = frozenset()
    winner: Winner | None = None
    profiling: Standing | None = None
    """Asked of campaigns that choose by what somebody did before."""
    visits: Sequence[Visit] = ()
    """The subject's visits to the place, oldest first; read where the campaign looks back."""
    done: frozenset[Deed] = frozenset()
    """What the subject did since the event, of what calls the campaign off."""
    past: Past = UNKNOWN
    """What the audience asks of the subject's past."""
    carting: Standing | None = None
    carts: Sequence[CartEvent] = ()
    """The subject's open carts, the newest first, and whether they may be looked at; where the campaign asks for one."""
    links: LinkPolicy = OWN_LINKS_ONLY
    breakers: Mapping[Channel, Breaker] = field(default_factory=dict)
    """Of the channels that have one."""
    clearance: Clearance = NOT_ASKED
    coupon: Coupon | None = None
    pool_is_empty: bool = False
    control: Control = NO_CONTROL
    tokens: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A gate's answer, and what it rests on."""

    input: Mapping[str, Any]
    reason: Reason = Reason.OK


def gate_json(gate: Gate) -> dict[str, Any]:
    """A gate as the API writes it."""
    return {"gate": gate.gate.value, "verdict": gate.verdict.value, "input": dict(gate.input)}


def ask(name: GateName, campaign: Campaign, moment: Moment, now: datetime) -> Answer | None:
    """One gate's answer, or None where there is no subject to ask about."""
    if name in _ANYBODY:
        return _ANYBODY[name](campaign, moment, now)
    return _SOMEBODY[name](campaign, moment, moment.recipient, now) if moment.recipient else None


def _campaign_active(campaign: Campaign, now: datetime) -> Answer:
    state = due_state(campaign, now)
    active = state is CampaignState.ACTIVE
    return Answer({"state": state.value}, Reason.OK if active else Reason.CAMPAIGN_NOT_ACTIVE)


def approval(clearance: Clearance) -> Answer:
    """Whether what would be sent is what was approved, where anything is to be approved."""
    if not clearance.asked:
        return Answer({"required": False})
    told = {
        "required": True,
        "content_hash": clearance.content_hash,
        "approved_hash": clearance.approved_hash,
        "by": clearance.by,
    }
    return Answer(told, Reason.OK if clearance.is_given else Reason.NOT_APPROVED)


def fits(trigger: Trigger, event: Occasion, geofence: Geofence | None) -> bool:
    """Whether the event is a moment that the trigger names; only then is a decision worth making and keeping."""
    here = trigger.any or event.geofence in trigger.geofences or bool(_shared_tags(trigger, geofence))
    if isinstance(event, Occurrence):
        return event.kind is trigger.event and (here or not trigger.names_places)
    there = not trigger.zones or event.zone in trigger.zones
    return here and there and event.kind is trigger.waits_for


def _trigger(campaign: Campaign, moment: Moment) -> Answer:
    trigger, event = campaign.trigger, moment.event
    told: dict[str, Any] = {
        "event": event.kind.value,
        "geofence": event.geofence,
        "tags": _shared_tags(trigger, moment.geofence),
    }
    if isinstance(event, Occurrence):
        told |= event.told
    elif trigger.zones:
        told["zone"] = event.zone
    if event.revision is Revision.RETRACTED:
        return Answer({**told, "retracted": True}, Reason.EVENT_RETRACTED)
    return Answer(told, Reason.OK if fits(trigger, event, moment.geofence) else Reason.TRIGGER_MISMATCH)


def _shared_tags(trigger: Trigger, geofence: Geofence | None) -> list[str]:
    return sorted(set(geofence.tags) & set(trigger.tags)) if geofence else []


def _subject(moment: Moment) -> Answer:
    known = moment.recipient is not None
    return Answer({"known": known}, Reason.OK if known else Reason.UNKNOWN_SUBJECT)


def location_consent(standing: Standing | None) -> Answer:
    """Whether the subject's place may be used at all; no standing counts as no."""
    reason = _standing_reason(standing, Reason.NO_LOCATION_CONSENT, Reason.LOCATION_CONSENT_WITHDRAWN)
    return Answer({"purpose": "location", **_because(standing)}, reason)


def _location(campaign: Campaign, moment: Moment) -> Answer:
    return location_consent(moment.location) if campaign.uses_location else Answer({"purpose": None})


def marketing_consent(standing: Standing | None, channel: Channel) -> Answer:
    """Whether offers are welcome on this channel; no standing counts as no."""
    reason = _standing_reason(standing, Reason.NO_CONSENT, Reason.CONSENT_WITHDRAWN)
    return Answer({"purpose": "marketing", "channel": channel.value, **_because(standing)}, reason)


def _standing_reason(standing: Standing | None, none: Reason, withdrawn: Reason) -> Reason:
    if standing is not None and standing.allowed:
        return Reason.OK
    if standing is not None and standing.reason in _NOT_CARRIED:
        return _NOT_CARRIED[standing.reason]
    because = standing.because if standing else None
    return withdrawn if because is not None and because.action is Action.WITHDRAW else none


_NOT_CARRIED = {
    StandingReason.NEEDS_RENEWAL: Reason.CONSENT_NEEDS_RENEWAL,
    StandingReason.UNPROVEN: Reason.CONSENT_UNPROVEN,
}
"""Grants that stand, and still allow nothing."""


def _because(standing: Standing | None) -> dict[str, Any]:
    """Which entry of the ledger decided, and when it was made."""
    if standing is None or standing.because is None:
        return {"entry": None}
    entry = standing.because
    return {"entry": entry.id, "action": entry.action.value, "since": entry.at.isoformat()}


def _suppression(campaign: Campaign, recipient: Recipient) -> Answer:
    listed = campaign.channel in recipient.suppressed
    return Answer({"suppressed": listed}, Reason.SUPPRESSED if listed else Reason.OK)


def profiling_consent(standing: Standing | None) -> Answer:
    """Whether the subject may be chosen by what they did before; no standing counts as no."""
    reason = _standing_reason(standing, Reason.NO_PROFILING_CONSENT, Reason.PROFILING_CONSENT_WITHDRAWN)
    return Answer({"purpose": "profiling", **_because(standing)}, reason)


def _profiling(campaign: Campaign, moment: Moment) -> Answer:
    return profiling_consent(moment.profiling) if campaign.profiles else Answer({})


def _visits(campaign: Campaign, moment: Moment) -> Answer:
    if campaign.trigger.looks_back and moment.geofence is not None and is_sensitive(moment.geofence):
        return Answer({"sensitive": True}, Reason.NOT_THIS_VISIT)
    zone = moment.geofence.timezone if moment.geofence else None
    told, fits = visit_told(campaign.trigger, moment.visits, moment.event.at, zone)
    return Answer(told, Reason.OK if fits else Reason.NOT_THIS_VISIT)


def cart_answer(
    campaign: Campaign, event: str, standing: Standing | None, carts: Sequence[CartEvent], now: datetime
) -> Answer:
    """Whether there is the open cart that the campaign asks for, and whether it may be looked at. The moment of a cart that was
    left is about that very cart, untouched since.
    """
    if campaign.trigger.cart is None:
        return Answer({})
    reason = _standing_reason(standing, Reason.NO_CART_CONSENT, Reason.CART_CONSENT_WITHDRAWN)
    told = {"purpose": "cart", **_because(standing)}
    if reason is not Reason.OK:
        return Answer(told, reason)
    alone = event if campaign.trigger.event is Timed.CART else None
    found = cart_wanted(campaign.trigger.cart, carts, now, alone)
    return Answer({**told, **cart_told(found)}, Reason.OK if found else Reason.NO_SUCH_CART)


def _cart(campaign: Campaign, moment: Moment, now: datetime) -> Answer:
    return cart_answer(campaign, moment.event.id, moment.carting, moment.carts, now)


def _cancel_if(campaign: Campaign, moment: Moment) -> Answer:
    return called_off(campaign, moment.done)


def called_off(campaign: Campaign, done: frozenset[Deed]) -> Answer:
    """Whether something was done that calls the campaign's moment off."""
    by = campaign.trigger.called_off_by
    if not by:
        return Answer({})
    found = sorted(by & done)
    return Answer({"cancel_if": sorted(by), "done": found}, Reason.CALLED_OFF if found else Reason.OK)


def _delay(campaign: Campaign, moment: Moment, now: datetime) -> Answer:
    if isinstance(moment.event, Occurrence):
        return _until_it_may_go(campaign, moment, now)
    if not campaign.trigger.delay:
        return Answer({})
    due_at = moment.event.at + campaign.trigger.delay
    return Answer({"due_at": due_at.isoformat()}, Reason.DELAYED if now < due_at else Reason.OK)


def _until_it_may_go(campaign: Campaign, moment: Moment, now: datetime) -> Answer:
    """What comes by itself waits for hours in which it may go, if they begin within its shelf life."""
    who = moment.recipient
    if who is None:
        return Answer({})
    reading = reading_of(campaign, moment, who)
    at = soonest(campaign.windows, moment.rules, reading, now, valid_until(campaign, moment.event))
    if at is None or at <= now:
        return Answer({})
    return Answer({"due_at": at.isoformat()}, Reason.DELAYED)


def opening_hours(campaign: Campaign, geofence: Geofence | None, now: datetime) -> Answer:
    """Whether the place is open, where the campaign asks that it be."""
    if not campaign.trigger.opening_hours:
        return Answer({})
    told, is_open_then = hours_told(geofence, now)
    return Answer(told, Reason.OK if is_open_then else Reason.PLACE_CLOSED)


def _audience(campaign: Campaign, moment: Moment, recipient: Recipient) -> Answer:
    asked = sorted(attribute_names(campaign.audience))
    missing = [name for name in asked if recipient.attributes.get(name) is None]
    inside = matches(campaign.audience, recipient.attributes, moment.past)
    told: dict[str, Any] = {"attributes": asked, "missing": missing}
    if acts := behaviours(campaign.audience):
        told["acts"] = sorted({each.act.value for each in acts})
    if names := list_names(campaign.audience):
        told["lists"] = sorted(names)
    return Answer(told, Reason.OK if inside else Reason.NOT_IN_AUDIENCE)


def _fix(campaign: Campaign, moment: Moment, now: datetime) -> Answer:
    if isinstance(moment.event, Occurrence):
        return Answer({})
    age_seconds, sure = (
        (now - moment.event.emitted - campaign.trigger.delay).total_seconds(),
        moment.event.confidence,
    )
    oldest, least = campaign.max_fix_age_seconds, campaign.min_confidence
    told = {
        "age_seconds": age_seconds,
        "max_fix_age_seconds": oldest,
        "confidence": sure,
        "min_confidence": least,
    }
    if oldest is not None and age_seconds > oldest:
        return Answer(told, Reason.FIX_TOO_OLD)
    return Answer(told, Reason.NOT_SURE_ENOUGH if least is not None and sure < least else Reason.OK)


def _shelf_life(campaign: Campaign, moment: Moment, now: datetime) -> Answer:
    age_seconds = (now - moment.event.at - campaign.trigger.delay).total_seconds()
    told = {"age_seconds": age_seconds, "shelf_life_seconds": campaign.shelf_life_seconds}
    return Answer(told, Reason.OK if age_seconds < campaign.shelf_life_seconds else Reason.TOO_LATE)


def _window(campaign: Campaign, moment: Moment, now: datetime) -> Answer:
    zones = reading_of(campaign, moment, moment.recipient).clocks
    zone = zones[0] if len(zones) == 1 else None
    local = local_time(now, zone)
    told: dict[str, Any] = {"zone": zone, "local_time": day_and_time(local) if local else None}
    told |= {"zones": len(zones)} if len(zones) > 1 else {}
    return Answer(told, Reason.OK if is_open_on_all(campaign.windows, now, zones) else Reason.OUTSIDE_WINDOW)


def _channel_health(campaign: Campaign, moment: Moment) -> Answer:
    """An offer waits for a line that is down; it is refused where nobody would try the line within its shelf life."""
    breaker = moment.breakers.get(campaign.channel)
    if breaker is None:
        return Answer({"breaker": None})
    until = breaker.until.isoformat() if breaker.until else None
    told = {"channel": campaign.channel.value, "breaker": breaker.state.value, "until": until}
    too_late_at = valid_until(campaign, moment.event)
    hopeless = (
        breaker.state is BreakerState.OPEN and breaker.until is not None and breaker.until >= too_late_at
    )
    return Answer(told, Reason.CHANNEL_DOWN if hopeless else Reason.OK)


def reading_of(campaign: Campaign, moment: Moment, who: Recipient | None) -> Reading:
    """Where and by whom a message of that moment would be read."""
    where = place_or_anywhere(campaign, moment.geofence, moment.event.geofence)
    return Reading(where, who.origin if who else None, campaign.channel)


def place_or_anywhere(
    campaign: Campaign, geofence: Geofence | None, named: str | None
) -> Geofence | Anywhere | None:
    """The place that a moment is about; anywhere if it names none, and None if the one that it names is gone."""
    return geofence if named is not None else Anywhere(campaign.country)


def _country_hours(campaign: Campaign, moment: Moment, who: Recipient, now: datetime) -> Answer:
    reading = reading_of(campaign, moment, who)
    hold = moment.rules.by_hours(reading, now)
    if hold is None:
        return _by_country(None, Reason.COUNTRY_HOURS, enforced=moment.rules.enforced)
    opening = moment.rules.opening(reading, now)
    told = {**hold_json(hold), "open_again": opening.isoformat() if opening else None}
    return Answer(told, Reason.COUNTRY_HOURS)


def _country_cap(campaign: Campaign, moment: Moment, who: Recipient, now: datetime) -> Answer:
    sent_at = [sent.at for sent in moment.sent]
    hold = moment.rules.by_cap(reading_of(campaign, moment, who), sent_at, now)
    return _by_country(hold, Reason.COUNTRY_CAP, enforced=moment.rules.enforced)


def _country_sender(campaign: Campaign, moment: Moment, who: Recipient, now: datetime) -> Answer:
    hold = moment.rules.by_sender(reading_of(campaign, moment, who), now)
    return _by_country(hold, Reason.COUNTRY_SENDER, enforced=moment.rules.strict)


def _country_words(campaign: Campaign, moment: Moment, who: Recipient, now: datetime) -> Answer:
    if moment.rules.sender is None:
        return Answer({"rule": None})
    try:
        text = text_of(campaign, moment)
    except TextRefused:
        return Answer({"rule": None})  # the gate before says so
    hold = moment.rules.by_words(reading_of(campaign, moment, who), text, now)
    return _by_country(hold, Reason.COUNTRY_WORDS, enforced=moment.rules.strict)


def hold_json(hold: Hold) -> dict[str, Any]:
    """What a gate tells of the rule that holds a message back."""
    told = {"rule": hold.rule, "version": hold.version, "because": hold.because}
    return told | ({"zone": hold.zone, "local_time": hold.local_time} if hold.zone else {})


def _by_country(hold: Hold | None, reason: Reason, *, enforced: bool) -> Answer:
    """A hold that is not enforced is told, and let pass."""
    told = hold_json(hold) if hold else {"rule": None}
    if enforced:
        return Answer(told, reason if hold else Reason.OK)
    return Answer({**told, "enforced": False})


def _cap(campaign: Campaign, moment: Moment, now: datetime) -> Answer:
    caps = caps_in_force(campaign, moment.account)
    counts = list(cap_counts(caps, moment.sent, campaign.id, moment.event.geofence, now))
    full = next((count for count in counts if count.is_full), None)
    told = {"caps": [count_json(count) for count in counts], "full": count_json(full) if full else None}
    return Answer(told, Reason.CAP_REACHED if full else Reason.OK)


def _budget(campaign: Campaign, moment: Moment, who: Recipient) -> Answer:
    if not moment.budgets:
        return Answer({"limits": [], "cost": None, "full": None})
    try:
        text = text_of(campaign, moment)
    except TextRefused:
        text = ""  # a later gate says so
    cost = moment.account.costs.of(campaign.channel, text, who.origin)
    full = next((limit for limit in moment.budgets if not limit.has_room(cost)), None)
    told = {
        "limits": [limit_json(limit) for limit in moment.budgets],
        "cost": money_text(cost),
        "full": limit_json(full) if full else None,
    }
    return Answer(told, Reason.BUDGET_SPENT if full else Reason.OK)


def _arbitration(campaign: Campaign, moment: Moment) -> Answer:
    winner = moment.winner or next(
        (
            Winner(sent.campaign, sent.event, Because.VISIT)
            for sent in moment.sent
            if sent.visit is not None and sent.visit in moment.around
        ),
        None,
    )
    told: dict[str, Any] = {"per_visit": campaign.per_visit.value, "visit": moment.visit, "winner": None}
    if winner is not None:
        told |= {"winner": winner.campaign, "event": winner.event, "because": winner.because.value}
    lost = winner is not None and campaign.per_visit is PerVisit.ONE
    return Answer(told, Reason.LOST_TO if lost else Reason.OK)


def _address(campaign: Campaign, recipient: Recipient) -> Answer:
    has = campaign.channel in recipient.channels
    return Answer({"channel": campaign.channel.value}, Reason.OK if has else Reason.NO_ADDRESS)


def _text(campaign: Campaign, moment: Moment) -> Answer:
    try:
        text = text_of(campaign, moment)
        # Whoever cannot be told one of the variants is told none: who compares must not depend on what was drawn.
        for variant in campaign.experiment.variants if campaign.experiment else ():
            text_of(speaking(campaign, variant.name), moment)
    except TextRefused as refused:
        return Answer({"problem": str(refused)}, _TEXT_REASONS.get(type(refused), Reason.TEXT_REFUSED))
    told: dict[str, Any] = {"characters": len(text)}
    if campaign.channel is Channel.SMS:
        size = sms_size(text)
        told |= {
            "encoding": size.encoding.value,
            "segments": size.segments,
            "max_segments": campaign.max_segments,
        }
    return Answer(told)


_TEXT_REASONS = {NoTextInLanguage: Reason.NO_TEXT_IN_LANGUAGE, NoCouponLeft: Reason.COUPONS_EXHAUSTED}


def text_of(
    campaign: Campaign,
    moment: Moment,
    worded: Callable[[Campaign, Mapping[str, Any], Wording], str] = finished_text,
) -> str:
    """The text of the message, as `worded` does. Raises `TextRefused`.

    A template may name the subject's attributes, and over them the place, the campaign, and when the offer ends.
    """
    place, who = moment.geofence, moment.recipient
    values = {
        **(who.attributes if who else {}),
        "geofence": place.name if place else None,
        "campaign": campaign.name,
        "valid_until": valid_until(campaign, moment.event).isoformat(),
    }
    wording = Wording(
        moment.links,
        who.locale if who else None,
        place.timezone if place else None,
        moment.coupon or Coupon(SAMPLE, coupon_until(campaign, moment.event)),
        moment.pool_is_empty,
        moment.tokens,
    )
    return worded(campaign, values, wording)


def coupon_until(campaign: Campaign, event: Occasion) -> datetime:
    """The instant at which a code of the campaign, earned by the event, is too late at a till."""
    valid_seconds = campaign.coupon.valid_seconds if campaign.coupon else 0
    return event.at + campaign.trigger.delay + timedelta(seconds=valid_seconds)


def valid_until(campaign: Campaign, event: Occasion) -> datetime:
    """The instant at which the event's offer is too late."""
    return event.at + campaign.trigger.delay + timedelta(seconds=campaign.shelf_life_seconds)


def _holdout(campaign: Campaign, moment: Moment, who: Recipient, now: datetime) -> Answer:
    lot = draw_lot(campaign.experiment, moment.control, who.id, moment.event.geofence or "", now)
    return Answer(lot.drawn, Reason(lot.group.value) if lot.group else Reason.OK)


_ANYBODY: Mapping[GateName, Callable[[Campaign, Moment, datetime], Answer]] = {
    GateName.CAMPAIGN_ACTIVE: lambda campaign, _moment, now: _campaign_active(campaign, now),
    GateName.APPROVAL: lambda _campaign, moment, _now: approval(moment.clearance),
    GateName.TRIGGER: lambda campaign, moment, _now: _trigger(campaign, moment),
    GateName.SUBJECT: lambda _campaign, moment, _now: _subject(moment),
    GateName.FIX: _fix,
    GateName.SHELF_LIFE: _shelf_life,
    GateName.WINDOW: _window,
    GateName.DELAY: _delay,
    GateName.OPENING_HOURS: lambda campaign, moment, now: opening_hours(campaign, moment.geofence, now),
    GateName.CHANNEL_HEALTH: lambda campaign, moment, _now: _channel_health(campaign, moment),
}
_SOMEBODY: Mapping[GateName, Callable[[Campaign, Moment, Recipient, datetime], Answer]] = {
    GateName.LOCATION_CONSENT: lambda campaign, moment, _who, _now: _location(campaign, moment),
    GateName.CONSENT: lambda campaign, moment, _who, _now: marketing_consent(
        moment.marketing, campaign.channel
    ),
    GateName.SUPPRESSION: lambda campaign, _moment, who, _now: _suppression(campaign, who),
    GateName.PROFILING: lambda campaign, moment, _who, _now: _profiling(campaign, moment),
    GateName.VISITS: lambda campaign, moment, _who, _now: _visits(campaign, moment),
    GateName.CART: lambda campaign, moment, _who, now: _cart(campaign, moment, now),
    GateName.CANCEL_IF: lambda campaign, moment, _who, _now: _cancel_if(campaign, moment),
    GateName.AUDIENCE: lambda campaign, moment, who, _now: _audience(campaign, moment, who),
    GateName.COUNTRY_HOURS: _country_hours,
    GateName.CAP: lambda campaign, moment, _who, now: _cap(campaign, moment, now),
    GateName.COUNTRY_CAP: _country_cap,
    GateName.BUDGET: lambda campaign, moment, who, _now: _budget(campaign, moment, who),
    GateName.ARBITRATION: lambda campaign, moment, _who, _now: _arbitration(campaign, moment),
    GateName.ADDRESS: lambda campaign, _moment, who, _now: _address(campaign, who),
    GateName.COUNTRY_SENDER: _country_sender,
    GateName.TEXT: lambda campaign, moment, _who, _now: _text(campaign, moment),
    GateName.COUNTRY_WORDS: _country_words,
    GateName.HOLDOUT: _holdout,
}
