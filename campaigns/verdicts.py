"""What each gate says to what it was told. A verdict rests on that, on the campaign and on the instant alone, all of which are
kept; so what was decided can be judged again from its record, by the same rule.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from campaigns.audience.audience import Attribute, is_met, single_conditions
from campaigns.audience.behaviour import Behaviour, OnList
from campaigns.campaign import MAX_PUSH_CHARS, Campaign, CampaignState, PerVisit, state_from
from campaigns.country_rules import hold_by_cap
from campaigns.delivery.breaker import BreakerState
from campaigns.experiments.experiment import lot_of
from campaigns.gates import Asked, GateName, Lack, Moment, Reason, names, tell
from campaigns.limits.budget import limit_from_json
from campaigns.limits.money import micros_of
from campaigns.triggers.cart import is_as_wished
from campaigns.triggers.occasion import Timed, kind_of
from campaigns.triggers.place_hours import open_by
from campaigns.triggers.trigger import Deed
from campaigns.triggers.visiting import visit_wanted
from consent.countries.hours import day_and_time, is_open_on_all, local_time
from consent.countries.place import Anywhere, Concerned, Origin, concerned
from consent.countries.rule import Reach
from consent.countries.ruling import Hold, hold_by_hours, hold_by_sender, hold_by_words, next_opening
from consent.entry import Action, Channel, Purpose, weigh
from consent.entry import Reason as StandingReason

Told = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged: the campaign as it speaks to the subject (None: nobody known), at a geofence, at an instant."""

    campaign: Campaign
    subject: str | None
    geofence: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """A gate's answer, and what it rests on: what was told, and what the campaign and the rules say to it."""

    input: Told
    reason: Reason = Reason.OK


def ask(name: GateName, campaign: Campaign, moment: Moment, now: datetime) -> Answer | None:
    """One gate's answer, or None where there is no subject to ask about."""
    told = tell(name, Asked(campaign, moment, now))
    return None if told is None else judge(name, told, case_of(campaign, moment, now))


def case_of(campaign: Campaign, moment: Moment, now: datetime) -> Case:
    """What a moment makes of a campaign to be judged."""
    return Case(campaign, moment.recipient.id if moment.recipient else None, moment.event.geofence, now)


def judge(name: GateName, told: Told, case: Case) -> Answer:
    """One gate's answer to what it was told. Raises `KeyError` for what should have been told and was not."""
    return _RULES[name](told, case)


def consent_reason(purpose: Purpose, reason: StandingReason) -> Reason:
    """What a standing comes to for a decision."""
    return _NOT_CARRIED[reason] if reason in _NOT_CARRIED else _NOT_ALLOWED[purpose, reason]


_NOT_CARRIED = {
    StandingReason.GRANTED: Reason.OK,
    StandingReason.NEEDS_RENEWAL: Reason.CONSENT_NEEDS_RENEWAL,
    StandingReason.UNPROVEN: Reason.CONSENT_UNPROVEN,
}
"""Of every purpose. A grant may stand and still allow nothing."""
_NOT_ALLOWED = {
    (Purpose.LOCATION, StandingReason.NEVER_ASKED): Reason.NO_LOCATION_CONSENT,
    (Purpose.LOCATION, StandingReason.WITHDRAWN): Reason.LOCATION_CONSENT_WITHDRAWN,
    (Purpose.MARKETING, StandingReason.NEVER_ASKED): Reason.NO_CONSENT,
    (Purpose.MARKETING, StandingReason.WITHDRAWN): Reason.CONSENT_WITHDRAWN,
    (Purpose.PROFILING, StandingReason.NEVER_ASKED): Reason.NO_PROFILING_CONSENT,
    (Purpose.PROFILING, StandingReason.WITHDRAWN): Reason.PROFILING_CONSENT_WITHDRAWN,
    (Purpose.CART, StandingReason.NEVER_ASKED): Reason.NO_CART_CONSENT,
    (Purpose.CART, StandingReason.WITHDRAWN): Reason.CART_CONSENT_WITHDRAWN,
}


def _campaign_active(told: Told, case: Case) -> Answer:
    state = state_from(CampaignState(told["state"]), case.campaign, case.at)
    active = state is CampaignState.ACTIVE
    return Answer({"state": state.value}, Reason.OK if active else Reason.CAMPAIGN_NOT_ACTIVE)


def _approval(told: Told, _case: Case) -> Answer:
    if not told["required"]:
        return Answer(told)
    given = told["content_hash"] is not None and told["content_hash"] == told["approved_hash"]
    return Answer(told, Reason.OK if given else Reason.NOT_APPROVED)


def _trigger(told: Told, case: Case) -> Answer:
    if told.get("retracted"):
        return Answer(told, Reason.EVENT_RETRACTED)
    trigger = case.campaign.trigger
    tags = [tag for tag in told["tags"] if tag in trigger.tags]
    kind = kind_of(told["event"])
    zone = told["zone"] if trigger.zones and not isinstance(kind, Timed) else None
    here = told["geofence"] == case.geofence
    named = here and names(trigger, kind, told["geofence"], tags, zone)
    return Answer(told, Reason.OK if named else Reason.TRIGGER_MISMATCH)


def _subject(told: Told, _case: Case) -> Answer:
    return Answer(told, Reason.OK if told["known"] else Reason.UNKNOWN_SUBJECT)


def _location_consent(told: Told, case: Case) -> Answer:
    return _consent(told, case, Purpose.LOCATION) if case.campaign.uses_location else Answer(told)


def _marketing_consent(told: Told, case: Case) -> Answer:
    return _consent(told, case, Purpose.MARKETING, case.campaign.channel)


def _profiling(told: Told, case: Case) -> Answer:
    return _consent(told, case, Purpose.PROFILING) if case.campaign.profiles else Answer(told)


def _consent(told: Told, case: Case, purpose: Purpose, channel: Channel | None = None) -> Answer:
    """Whether the entry carries at this instant; one for anything else, or a later one, is as none."""
    return Answer(told, consent_reason(purpose, _standing(told, case, purpose, channel)))


def _standing(told: Told, case: Case, purpose: Purpose, channel: Channel | None) -> StandingReason:
    asked = told["purpose"] == purpose and (channel is None or told["channel"] == channel)
    if not asked or told["entry"] is None or datetime.fromisoformat(told["since"]) > case.at:
        return StandingReason.NEVER_ASKED
    action = Action(told["action"])
    due = told["renewal_due"] if action is Action.GRANT else None
    renewal_due = datetime.fromisoformat(due) if due else None
    return weigh(action, is_unproven=told.get("unproven", False), renewal_due=renewal_due, at=case.at)


def _suppression(told: Told, _case: Case) -> Answer:
    return Answer(told, Reason.SUPPRESSED if told["suppressed"] else Reason.OK)


def _visits(told: Told, case: Case) -> Answer:
    if told.get("sensitive"):
        return Answer(told, Reason.NOT_THIS_VISIT if case.campaign.trigger.looks_back else Reason.OK)
    wanted, fits = visit_wanted(case.campaign.trigger, told)
    return Answer({**told, **wanted}, Reason.OK if fits else Reason.NOT_THIS_VISIT)


def _cart(told: Told, case: Case) -> Answer:
    if case.campaign.trigger.cart is None:
        return Answer(told)
    allowed = _consent(told, case, Purpose.CART)
    return allowed if allowed.reason is not Reason.OK else Answer(told, cart_reason(told, case))


def cart_reason(told: Told, case: Case) -> Reason:
    """Whether there is the open cart that the campaign asks for, untouched since."""
    wish = case.campaign.trigger.cart
    return Reason.OK if wish is None or is_as_wished(wish, told, case.at) else Reason.NO_SUCH_CART


def _cancel_if(told: Told, case: Case) -> Answer:
    by = case.campaign.trigger.called_off_by
    if not by:
        return Answer(told)
    off = any(Deed(deed) in by for deed in told["done"])
    return Answer({**told, "cancel_if": sorted(by)}, Reason.CALLED_OFF if off else Reason.OK)


def _delay(told: Told, case: Case) -> Answer:
    trigger = case.campaign.trigger
    if not told and (not trigger.delay or isinstance(trigger.event, Timed)):
        return Answer(told)
    return Answer(told, Reason.DELAYED if case.at < datetime.fromisoformat(told["due_at"]) else Reason.OK)


def _opening_hours(told: Told, case: Case) -> Answer:
    if not case.campaign.trigger.opening_hours:
        return Answer(told)
    shown, is_open_then = open_by(told, case.at)
    return Answer({**told, **shown}, Reason.OK if is_open_then else Reason.PLACE_CLOSED)


def _audience(told: Told, case: Case) -> Answer:
    audience = case.campaign.audience
    conditions = list(single_conditions(audience))
    said = {**told, "attributes": sorted({each.name for each in conditions if isinstance(each, Attribute)})}
    if acts := {each.act.value for each in conditions if isinstance(each, Behaviour)}:
        said["acts"] = sorted(acts)
    if lists := {each.name for each in conditions if isinstance(each, OnList)}:
        said["lists"] = sorted(lists)
    inside = is_met(audience, told["held"] if conditions else told.get("held", ()))
    return Answer(said, Reason.OK if inside else Reason.NOT_IN_AUDIENCE)


def _fix(told: Told, case: Case) -> Answer:
    if not told and isinstance(case.campaign.trigger.event, Timed):
        return Answer(told)
    oldest, least = case.campaign.max_fix_age_seconds, case.campaign.min_confidence
    said = {**told, "max_fix_age_seconds": oldest, "min_confidence": least}
    if oldest is not None and told["age_seconds"] > oldest:
        return Answer(said, Reason.FIX_TOO_OLD)
    unsure = least is not None and told["confidence"] < least
    return Answer(said, Reason.NOT_SURE_ENOUGH if unsure else Reason.OK)


def _shelf_life(told: Told, case: Case) -> Answer:
    longest = case.campaign.shelf_life_seconds
    said = {**told, "shelf_life_seconds": longest}
    return Answer(said, Reason.OK if told["age_seconds"] < longest else Reason.TOO_LATE)


def _window(told: Told, case: Case) -> Answer:
    zones: tuple[str, ...] = (told["zone"],) if "reader" not in told and told["zone"] else ()
    if "reader" in told:
        zones = _about(told, case).zones
    zone = zones[0] if len(zones) == 1 else None
    local = local_time(case.at, zone)
    said = {**told, "zone": zone, "local_time": day_and_time(local) if local else None}
    if len(zones) > 1:
        said["zones"] = len(zones)
    is_open_then = is_open_on_all(case.campaign.windows, case.at, zones)
    return Answer(said, Reason.OK if is_open_then else Reason.OUTSIDE_WINDOW)


def _about(told: Told, case: Case) -> Concerned:
    """Which clocks and countries count: of the place, or else of wherever the reader may be."""
    if "reader" not in told:
        return Concerned(tuple(told["zones"]), frozenset(told["areas"]), told.get("unknown"))
    reader = told["reader"]
    origin = reader and Origin(tuple(reader["zones"]), frozenset(reader["areas"]), frozenset(reader["apart"]))
    return concerned(Anywhere(case.campaign.country), origin)


def _country_hours(told: Told, case: Case) -> Answer:
    if not told.get("enforced", True):
        return _by_country(told, None, Reason.COUNTRY_HOURS)
    who = _about(told, case)
    reach, channel = Reach(told.get("reach", Reach.DEFAULT)), case.campaign.channel
    hold = hold_by_hours(who, case.at.replace(second=0, microsecond=0), channel, reach)
    if hold is not None:
        opening = next_opening(who, case.at, channel, reach)
        told = {**told, "open_again": opening.isoformat() if opening else None}
    return _by_country(told, hold, Reason.COUNTRY_HOURS)


def _country_cap(told: Told, _case: Case) -> Answer:
    return _by_country(told, hold_by_cap(told["asked"]), Reason.COUNTRY_CAP)


def _country_sender(told: Told, _case: Case) -> Answer:
    return _by_country(told, hold_by_sender(told["asked"]), Reason.COUNTRY_SENDER)


def _country_words(told: Told, _case: Case) -> Answer:
    return _by_country(told, hold_by_words(told["asked"]), Reason.COUNTRY_WORDS)


def hold_json(hold: Hold) -> dict[str, Any]:
    """What a gate tells of the rule that holds a message back."""
    told = {"rule": hold.rule, "version": hold.version, "because": hold.because}
    return told | ({"zone": hold.zone, "local_time": hold.local_time} if hold.zone else {})


def _by_country(told: Told, hold: Hold | None, reason: Reason) -> Answer:
    """A hold that is not enforced is told, and let pass."""
    said = {**told, **(hold_json(hold) if hold else {"rule": None})}
    return Answer(said, reason if hold and told.get("enforced", True) else Reason.OK)


def _cap(told: Told, _case: Case) -> Answer:
    full = next((cap for cap in told["caps"] if cap["counted"] >= cap["max"]), None)
    return Answer({**told, "full": full}, Reason.CAP_REACHED if full else Reason.OK)


def _budget(told: Told, _case: Case) -> Answer:
    limits = told["limits"]
    cost = micros_of(told["cost"]) if limits else 0
    full = next((each for each in limits if not limit_from_json(each).has_room(cost)), None)
    return Answer({**told, "full": full}, Reason.BUDGET_SPENT if full else Reason.OK)


def _arbitration(told: Told, case: Case) -> Answer:
    per_visit = case.campaign.per_visit
    lost = told["winner"] is not None and per_visit is PerVisit.ONE
    return Answer({**told, "per_visit": per_visit.value}, Reason.LOST_TO if lost else Reason.OK)


def _address(told: Told, case: Case) -> Answer:
    said = {**told, "channel": case.campaign.channel.value}
    return Answer(said, Reason.OK if told["found"] else Reason.NO_ADDRESS)


def _text(told: Told, case: Case) -> Answer:
    if "problem" in told:
        return Answer(told, _LACKING[Lack(told["lacks"])])
    if case.campaign.channel is not Channel.SMS:
        return Answer(told, Reason.OK if told["characters"] <= MAX_PUSH_CHARS else Reason.TEXT_REFUSED)
    most = case.campaign.max_segments
    said = {**told, "max_segments": most}
    return Answer(said, Reason.OK if told["segments"] <= most else Reason.TEXT_REFUSED)


_LACKING = {
    Lack.TEXT: Reason.TEXT_REFUSED,
    Lack.LANGUAGE: Reason.NO_TEXT_IN_LANGUAGE,
    Lack.COUPON: Reason.COUPONS_EXHAUSTED,
}


def _channel_health(told: Told, case: Case) -> Answer:
    """An offer waits for a line that is down; it is refused where nobody would try the line within its shelf life."""
    if told["breaker"] is None:
        return Answer(told)
    said = {**told, "channel": case.campaign.channel.value}
    if told["breaker"] != BreakerState.OPEN or told["until"] is None:
        return Answer(said)
    hopeless = datetime.fromisoformat(told["until"]) >= datetime.fromisoformat(told["valid_until"])
    return Answer(said, Reason.CHANNEL_DOWN if hopeless else Reason.OK)


def _holdout(told: Told, case: Case) -> Answer:
    lot = lot_of(case.campaign.experiment, told, case.subject or "", case.geofence or "", case.at)
    return Answer({**told, **lot.drawn}, Reason(lot.group.value) if lot.group else Reason.OK)


_RULES: Mapping[GateName, Callable[[Told, Case], Answer]] = {
    GateName.CAMPAIGN_ACTIVE: _campaign_active,
    GateName.APPROVAL: _approval,
    GateName.TRIGGER: _trigger,
    GateName.SUBJECT: _subject,
    GateName.AUDIENCE: _audience,
    GateName.LOCATION_CONSENT: _location_consent,
    GateName.CONSENT: _marketing_consent,
    GateName.SUPPRESSION: _suppression,
    GateName.PROFILING: _profiling,
    GateName.VISITS: _visits,
    GateName.CART: _cart,
    GateName.CANCEL_IF: _cancel_if,
    GateName.DELAY: _delay,
    GateName.FIX: _fix,
    GateName.SHELF_LIFE: _shelf_life,
    GateName.WINDOW: _window,
    GateName.OPENING_HOURS: _opening_hours,
    GateName.COUNTRY_HOURS: _country_hours,
    GateName.CAP: _cap,
    GateName.COUNTRY_CAP: _country_cap,
    GateName.BUDGET: _budget,
    GateName.ARBITRATION: _arbitration,
    GateName.ADDRESS: _address,
    GateName.COUNTRY_SENDER: _country_sender,
    GateName.TEXT: _text,
    GateName.COUNTRY_WORDS: _country_words,
    GateName.CHANNEL_HEALTH: _channel_health,
    GateName.HOLDOUT: _holdout,
}
