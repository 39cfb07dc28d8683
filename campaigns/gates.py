"""The gates between a moment and a message: each asks one question, and tells what its answer will rest on."""

from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from campaigns.arbitration import Because, Winner
from campaigns.audience.audience import attribute_names, truths
from campaigns.audience.behaviour import UNKNOWN, Past
from campaigns.campaign import Campaign, due_state, finished_text, speaking
from campaigns.content.languages import NoTextInLanguage
from campaigns.content.links import OWN_LINKS_ONLY, LinkPolicy
from campaigns.content.segments import sms_size
from campaigns.content.template import TextRefused
from campaigns.country_rules import COUNTRY_RULES, CountryRules, Reading, concerned_by
from campaigns.coupons.coupon import SAMPLE, Coupon, NoCouponLeft
from campaigns.delivery.breaker import Breaker, BreakerState
from campaigns.experiments.experiment import NO_CONTROL, Control, draw_control
from campaigns.lifecycle.approval import NOT_ASKED, Clearance
from campaigns.limits.account import NO_LIMITS, Account, caps_in_force
from campaigns.limits.budget import Limit, limit_json
from campaigns.limits.cap import Sent, cap_counts, count_json
from campaigns.limits.money import money_text
from campaigns.triggers.cart import CartEvent, cart_wanted, found_told
from campaigns.triggers.occasion import Occasion, Occurrence, Timed
from campaigns.triggers.place_hours import hours_told
from campaigns.triggers.soonest import soonest
from campaigns.triggers.trigger import Deed, Trigger
from campaigns.triggers.visiting import visit_told
from campaigns.wording import Wording
from consent.countries.place import Anywhere, Concerned, Origin
from consent.countries.rule import Reach
from consent.entry import Action, Channel, Purpose, Standing
from geofences.event import EventKind, Revision
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
    """One question, its answer and what the answer was based on; never a phone number or a position. `reason` is why it
    fails; None of those that do not, and of those that were recorded before each gate told its own.
    """

    gate: GateName
    verdict: Verdict
    input: Mapping[str, Any]
    reason: Reason | None = None


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


def gate_json(gate: Gate) -> dict[str, Any]:
    """A gate as the API writes it."""
    told = {"gate": gate.gate.value, "verdict": gate.verdict.value, "input": dict(gate.input)}
    return told if gate.reason is None else told | {"reason": gate.reason.value}


def gate_from_json(raw: Mapping[str, Any]) -> Gate:
    """Read back what `gate_json` wrote."""
    reason = raw.get("reason")
    return Gate(
        GateName(raw["gate"]), Verdict(raw["verdict"]), raw["input"], Reason(reason) if reason else None
    )


class Asked:
    """A campaign that is asked about at a moment. What several gates rest on is worked out once."""

    def __init__(self, campaign: Campaign, moment: Moment, now: datetime) -> None:
        self.campaign = campaign
        self.moment = moment
        self.now = now

    @cached_property
    def text(self) -> str | None:
        """The text of the message; None where there is none, and the gate of that name says why."""
        try:
            return text_of(self.campaign, self.moment)
        except TextRefused:
            return None

    @cached_property
    def reading(self) -> Reading:
        """Where and by whom the message would be read."""
        moment, who = self.moment, self.moment.recipient
        where = place_or_anywhere(self.campaign, moment.geofence, moment.event.geofence)
        return Reading(where, who.origin if who else None, self.campaign.channel)

    @cached_property
    def about(self) -> Concerned:
        """Which clocks and countries count."""
        return concerned_by(self.reading)


def tell(name: GateName, asked: Asked) -> dict[str, Any] | None:
    """What one gate is judged by, as JSON holds it; None where there is no subject, and it `asks_of_somebody`. `campaigns/verdicts.py` judges
    by this, by the campaign, and by nothing else, so that it can be done again from the record.
    """
    if name in _ANYBODY:
        return _ANYBODY[name](asked)
    who = asked.moment.recipient
    return _SOMEBODY[name](asked, who) if who else None


def approval_told(clearance: Clearance) -> dict[str, Any]:
    """What would be sent and what was approved, where anything is to be approved."""
    if not clearance.asked:
        return {"required": False}
    return {
        "required": True,
        "content_hash": clearance.content_hash,
        "approved_hash": clearance.approved_hash,
        "by": clearance.by,
    }


def fits(trigger: Trigger, event: Occasion, geofence: Geofence | None) -> bool:
    """Whether the event is a moment that the trigger names; only then is a decision worth making and keeping."""
    zone = None if isinstance(event, Occurrence) else event.zone
    return names(trigger, event.kind, event.geofence, _shared_tags(trigger, geofence), zone)


def names(
    trigger: Trigger, kind: EventKind | Timed, geofence: str | None, tags: Collection[str], zone: str | None
) -> bool:
    """The same, told by what the event is, and by which of the trigger's tags its place has."""
    here = trigger.any or geofence in trigger.geofences or bool(tags)
    if isinstance(kind, Timed):
        return kind is trigger.event and (here or not trigger.names_places)
    there = not trigger.zones or zone in trigger.zones
    return here and there and kind is trigger.waits_for


def _trigger(asked: Asked) -> dict[str, Any]:
    trigger, event = asked.campaign.trigger, asked.moment.event
    told: dict[str, Any] = {
        "event": event.kind.value,
        "geofence": event.geofence,
        "tags": _shared_tags(trigger, asked.moment.geofence),
    }
    if isinstance(event, Occurrence):
        told |= event.told
    elif trigger.zones:
        told["zone"] = event.zone
    if event.revision is Revision.RETRACTED:
        told["retracted"] = True
    return told


def _shared_tags(trigger: Trigger, geofence: Geofence | None) -> list[str]:
    return sorted(set(geofence.tags) & set(trigger.tags)) if geofence else []


def consent_told(
    purpose: Purpose, standing: Standing | None, channel: Channel | None = None
) -> dict[str, Any]:
    """Which entry of the ledger decides, when it was made, and how long it carries."""
    told: dict[str, Any] = {"purpose": purpose.value}
    if channel is not None:
        told["channel"] = channel.value
    if standing is None or standing.because is None:
        told["entry"] = None
        return told
    entry = standing.because
    told["entry"] = entry.id
    told["action"] = entry.action.value
    told["since"] = entry.at.isoformat()
    if entry.action is Action.GRANT:
        told["renewal_due"] = entry.renewal_due.isoformat() if entry.renewal_due else None
    if entry.is_unproven:
        told["unproven"] = True
    return told


def _profiling(asked: Asked, _who: Recipient) -> dict[str, Any]:
    return consent_told(Purpose.PROFILING, asked.moment.profiling) if asked.campaign.profiles else {}


def _visits(asked: Asked, _who: Recipient) -> dict[str, Any]:
    campaign, moment = asked.campaign, asked.moment
    if campaign.trigger.looks_back and moment.geofence is not None and is_sensitive(moment.geofence):
        return {"sensitive": True}
    zone = moment.geofence.timezone if moment.geofence else None
    return visit_told(campaign.trigger, moment.visits, moment.event.at, zone)


def _location(asked: Asked, _who: Recipient) -> dict[str, Any]:
    if not asked.campaign.uses_location:
        return {"purpose": None}
    return consent_told(Purpose.LOCATION, asked.moment.location)


def cart_told(campaign: Campaign, event: str, carts: Sequence[CartEvent], now: datetime) -> dict[str, Any]:
    """The open cart that is as the campaign asks; not what is in it. The moment of a cart that was left is about that
    very cart.
    """
    wish = campaign.trigger.cart
    if wish is None:
        return {}
    alone = event if campaign.trigger.event is Timed.CART else None
    return found_told(wish, cart_wanted(wish, carts, now, alone))


def _cart(asked: Asked, _who: Recipient) -> dict[str, Any]:
    """Without consent no cart is looked at."""
    moment = asked.moment
    if asked.campaign.trigger.cart is None:
        return {}
    told = consent_told(Purpose.CART, moment.carting)
    if moment.carting is None or not moment.carting.allowed:
        return told
    return told | cart_told(asked.campaign, moment.event.id, moment.carts, asked.now)


def deeds_told(campaign: Campaign, done: frozenset[Deed]) -> dict[str, Any]:
    """What was done of what calls the campaign's moment off."""
    by = campaign.trigger.called_off_by
    return {"done": sorted(by & done)} if by else {}


def _delay(asked: Asked) -> dict[str, Any]:
    campaign, moment = asked.campaign, asked.moment
    if isinstance(moment.event, Occurrence):
        due_at = _first_that_may_go(asked)
    else:
        due_at = moment.event.at + campaign.trigger.delay if campaign.trigger.delay else None
    return {} if due_at is None else {"due_at": due_at.isoformat()}


def _first_that_may_go(asked: Asked) -> datetime | None:
    """What comes by itself waits for hours in which it may go, if they begin within its shelf life."""
    campaign, moment, now = asked.campaign, asked.moment, asked.now
    if moment.recipient is None:
        return None
    before = valid_until(campaign, moment.event)
    at = soonest(campaign.windows, moment.rules, asked.reading, now, before)
    return at if at is not None and at > now else None


def place_told(campaign: Campaign, geofence: Geofence | None, now: datetime) -> dict[str, Any]:
    """The hours of the place, where the campaign asks that it be open."""
    return hours_told(geofence, now) if campaign.trigger.opening_hours else {}


def _audience(asked: Asked, who: Recipient) -> dict[str, Any]:
    """Which conditions hold, and no value: these are the subject's own."""
    audience = asked.campaign.audience
    names_asked = sorted(attribute_names(audience))
    told: dict[str, Any] = {"missing": [name for name in names_asked if who.attributes.get(name) is None]}
    if held := truths(audience, who.attributes, asked.moment.past):
        told["held"] = held
    return told


def _fix(asked: Asked) -> dict[str, Any]:
    event = asked.moment.event
    if isinstance(event, Occurrence):
        return {}
    age = asked.now - event.emitted - asked.campaign.trigger.delay
    return {"age_seconds": age.total_seconds(), "confidence": event.confidence}


def _shelf_life(asked: Asked) -> dict[str, Any]:
    age = asked.now - asked.moment.event.at - asked.campaign.trigger.delay
    return {"age_seconds": age.total_seconds()}


def _window(asked: Asked) -> dict[str, Any]:
    where = asked.reading.geofence
    if isinstance(where, Anywhere):
        return _reader(asked.reading.origin)
    return {"zone": where.timezone if where else None}


def _reader(origin: Origin | None) -> dict[str, Any]:
    """What a number tells of where its holder is; never the number."""
    if origin is None:
        return {"reader": None}
    told = {"zones": list(origin.zones), "areas": sorted(origin.areas), "apart": sorted(origin.apart)}
    return {"reader": told}


def _channel_health(asked: Asked) -> dict[str, Any]:
    campaign = asked.campaign
    breaker = asked.moment.breakers.get(campaign.channel)
    if breaker is None:
        return {"breaker": None}
    told = {"breaker": breaker.state.value, "until": breaker.until.isoformat() if breaker.until else None}
    if breaker.state is BreakerState.OPEN:
        told["valid_until"] = valid_until(campaign, asked.moment.event).isoformat()
    return told


def place_or_anywhere(
    campaign: Campaign, geofence: Geofence | None, named: str | None
) -> Geofence | Anywhere | None:
    """The place that a moment is about; anywhere if it names none, and None if the one that it names is gone."""
    return geofence if named is not None else Anywhere(campaign.country)


def _country_hours(asked: Asked, _who: Recipient) -> dict[str, Any]:
    """Which clocks and countries count: all that is known of the number."""
    rules = asked.moment.rules
    if not rules.enforced:
        return {"enforced": False}
    told = (
        _reader(asked.reading.origin) if isinstance(asked.reading.geofence, Anywhere) else _about(asked.about)
    )
    if rules.reach is not Reach.DEFAULT:
        told["reach"] = rules.reach.value
    return told


def _about(about: Concerned) -> dict[str, Any]:
    told: dict[str, Any] = {"zones": list(about.zones), "areas": sorted(about.areas)}
    return told if about.unknown is None else told | {"unknown": about.unknown}


def _country_cap(asked: Asked, _who: Recipient) -> dict[str, Any]:
    rules, channel = asked.moment.rules, asked.campaign.channel
    sent_at = [sent.at for sent in asked.moment.sent]
    return _of_rules(rules.asked_of_caps(asked.about, channel, sent_at, asked.now), enforced=rules.enforced)


def _country_sender(asked: Asked, _who: Recipient) -> dict[str, Any]:
    rules, channel = asked.moment.rules, asked.campaign.channel
    return _of_rules(rules.asked_of_sender(asked.about, channel, asked.now), enforced=rules.strict)


def _country_words(asked: Asked, _who: Recipient) -> dict[str, Any]:
    rules, channel = asked.moment.rules, asked.campaign.channel
    if rules.sender is None or asked.text is None:
        return {"asked": {}}
    return _of_rules(rules.asked_of_words(asked.about, channel, asked.text, asked.now), enforced=rules.strict)


def _of_rules(asked: Mapping[str, Any], *, enforced: bool) -> dict[str, Any]:
    """Rules that are asked and not enforced are told, and let pass."""
    return {"asked": asked} if enforced else {"asked": asked, "enforced": False}


def _cap(asked: Asked, _who: Recipient) -> dict[str, Any]:
    campaign, moment = asked.campaign, asked.moment
    caps = caps_in_force(campaign, moment.account)
    counts = cap_counts(caps, moment.sent, campaign.id, moment.event.geofence, asked.now)
    return {"caps": [count_json(count) for count in counts]}


def _budget(asked: Asked, who: Recipient) -> dict[str, Any]:
    moment = asked.moment
    if not moment.budgets:
        return {"limits": [], "cost": None}
    cost = moment.account.costs.of(asked.campaign.channel, asked.text or "", who.origin)
    return {"limits": [limit_json(limit) for limit in moment.budgets], "cost": money_text(cost)}


def _arbitration(asked: Asked, _who: Recipient) -> dict[str, Any]:
    moment = asked.moment
    winner = moment.winner or next(
        (
            Winner(sent.campaign, sent.event, Because.VISIT)
            for sent in moment.sent
            if sent.visit is not None and sent.visit in moment.around
        ),
        None,
    )
    if winner is None:
        return {"visit": moment.visit, "winner": None}
    return {
        "visit": moment.visit,
        "winner": winner.campaign,
        "event": winner.event,
        "because": winner.because.value,
    }


def _text(asked: Asked, _who: Recipient) -> dict[str, Any]:
    """How long the text is, or why there is none; never the text."""
    campaign, moment = asked.campaign, asked.moment
    try:
        text = asked.text or text_of(campaign, moment)
        # Whoever cannot be told one of the variants is told none: who compares must not depend on what was drawn.
        for variant in campaign.experiment.variants if campaign.experiment else ():
            text_of(speaking(campaign, variant.name), moment)
    except TextRefused as refused:
        return {"problem": str(refused), "lacks": _LACKS.get(type(refused), Lack.TEXT).value}
    told: dict[str, Any] = {"characters": len(text)}
    if campaign.channel is Channel.SMS:
        size = sms_size(text)
        told |= {"encoding": size.encoding.value, "segments": size.segments}
    return told


class Lack(StrEnum):
    """What there was none of, that a text needs."""

    TEXT = "text"
    LANGUAGE = "language"
    COUPON = "coupon"


_LACKS = {NoTextInLanguage: Lack.LANGUAGE, NoCouponLeft: Lack.COUPON}


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


_ANYBODY: Mapping[GateName, Callable[[Asked], dict[str, Any]]] = {
    GateName.CAMPAIGN_ACTIVE: lambda asked: {"state": due_state(asked.campaign, asked.now).value},
    GateName.APPROVAL: lambda asked: approval_told(asked.moment.clearance),
    GateName.TRIGGER: _trigger,
    GateName.SUBJECT: lambda asked: {"known": asked.moment.recipient is not None},
    GateName.FIX: _fix,
    GateName.SHELF_LIFE: _shelf_life,
    GateName.WINDOW: _window,
    GateName.DELAY: _delay,
    GateName.OPENING_HOURS: lambda asked: place_told(asked.campaign, asked.moment.geofence, asked.now),
    GateName.CHANNEL_HEALTH: _channel_health,
}
_SOMEBODY: Mapping[GateName, Callable[[Asked, Recipient], dict[str, Any]]] = {
    GateName.LOCATION_CONSENT: _location,
    GateName.CONSENT: lambda asked, _who: consent_told(
        Purpose.MARKETING, asked.moment.marketing, asked.campaign.channel
    ),
    GateName.SUPPRESSION: lambda asked, who: {"suppressed": asked.campaign.channel in who.suppressed},
    GateName.PROFILING: _profiling,
    GateName.VISITS: _visits,
    GateName.CART: _cart,
    GateName.CANCEL_IF: lambda asked, _who: deeds_told(asked.campaign, asked.moment.done),
    GateName.AUDIENCE: _audience,
    GateName.COUNTRY_HOURS: _country_hours,
    GateName.CAP: _cap,
    GateName.COUNTRY_CAP: _country_cap,
    GateName.BUDGET: _budget,
    GateName.ARBITRATION: _arbitration,
    GateName.ADDRESS: lambda asked, who: {"found": asked.campaign.channel in who.channels},
    GateName.COUNTRY_SENDER: _country_sender,
    GateName.TEXT: _text,
    GateName.COUNTRY_WORDS: _country_words,
    GateName.HOLDOUT: lambda asked, who: draw_control(asked.moment.control, who.id),
}


def asks_of_somebody(name: GateName) -> bool:
    """Whether the gate asks something of the subject, so that it is skipped where nobody is known."""
    return name in _SOMEBODY
