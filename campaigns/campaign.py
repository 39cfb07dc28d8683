"""A campaign: what is said at which moment, to whom, when and how often, and the life it leads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from campaigns.audience.audience import EVERYONE, Audience, audience_json, behaviours, parse_audience
from campaigns.audience.behaviour import Act
from campaigns.content.languages import (
    ONE_TEXT,
    Languages,
    Template,
    choose,
    language_problems,
    languages_from_json,
    languages_json,
    texts_of,
)
from campaigns.content.segments import outside_gsm, sms_size
from campaigns.content.short_link import shortened
from campaigns.content.template import TextRefused, check_template, render
from campaigns.coupons.coupon import (
    CouponOffer,
    coupon_from_json,
    coupon_json,
    coupon_values,
    offer_problems,
    template_with,
)
from campaigns.errors import FieldError, StateConflict
from campaigns.experiments.experiment import Experiment, experiment_from_json, experiment_json
from campaigns.limits.budget import NO_BUDGET, Budget, budget_from_json, budget_json
from campaigns.limits.cap import ONCE_A_DAY, Cap, cap_from_json, cap_json
from campaigns.triggers.trigger import (
    ABOUT_NO_PLACE,
    Trigger,
    trigger_from_json,
    trigger_json,
    trigger_problems,
)
from campaigns.wording import PLAIN, Wording
from consent.countries.hours import Window, window_from_json, window_json
from consent.entry import Channel

DEFAULT_PRIORITY = 50
DEFAULT_SHELF_LIFE_SECONDS = 900
DEFAULT_MAX_SEGMENTS = 4
MAX_SEGMENTS = 10
MAX_PUSH_CHARS = 612
"""Of every channel that is not paid by the segment."""
_SHOWN_CHARACTERS = 20


class PerVisit(StrEnum):
    """`one`: the campaign is silent where anything was said in the visit already; `many`: it speaks all the same."""

    ONE = "one"
    MANY = "many"


class CampaignState(StrEnum):
    """Where a campaign is in its life; only an active one sends."""

    DRAFT = "draft"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


UNSPOKEN = frozenset({CampaignState.DRAFT, CampaignState.IN_REVIEW, CampaignState.APPROVED})
"""States before somebody lets a campaign speak; the clock moves none of them."""


class Action(StrEnum):
    """What a marketer may do to a campaign's state."""

    ACTIVATE = "activate"
    PAUSE = "pause"
    RESUME = "resume"
    END = "end"


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign. Its state changes through `next_state` and `due_state` alone.

    `starts_at` is included and `ends_at` excluded. An event's offer is worth sending for `shelf_life_seconds`.
    Of several campaigns that fit a moment the one with the higher `priority` (0 to 100), then `value`, speaks, and of all
    only one `per_visit` unless it says otherwise. An event must be as sure as `min_confidence`, and noticed not longer
    ago than `max_fix_age_seconds`. An SMS takes at most `max_segments` segments. Since the last message of any campaign
    `min_gap_seconds` must have gone by. `version` counts from 1; `campaigns/lifecycle/version.py` tells when it goes up. An
    `archived` one is put away: it is a draft or has ended, is not listed, and stays as it is. `country` (ISO 3166) is where
    readers are whose number does not tell, of what is about no place.
    """

    id: str
    name: str
    trigger: Trigger
    channel: Channel
    template: Template
    state: CampaignState = CampaignState.DRAFT
    version: int = 1
    audience: Audience = EVERYONE
    windows: tuple[Window, ...] = ()
    caps: tuple[Cap, ...] = (ONCE_A_DAY,)
    min_gap_seconds: int | None = None
    budget: Budget = NO_BUDGET
    value: float = 0.0
    per_visit: PerVisit = PerVisit.ONE
    min_confidence: float | None = None
    max_fix_age_seconds: int | None = None
    priority: int = DEFAULT_PRIORITY
    shelf_life_seconds: int = DEFAULT_SHELF_LIFE_SECONDS
    max_segments: int = DEFAULT_MAX_SEGMENTS
    languages: Languages = ONE_TEXT
    coupon: CouponOffer | None = None
    short_links: bool = False
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    archived: bool = False
    experiment: Experiment | None = None
    country: str | None = None

    def __post_init__(self) -> None:
        if any(at is not None and at.tzinfo is None for at in (self.starts_at, self.ends_at)):
            raise ValueError("a naive datetime has no instant; give it a zone")

    @property
    def profiles(self) -> bool:
        """Whether it chooses people by what they did before."""
        return self.trigger.looks_back or any(each.is_profiling for each in behaviours(self.audience))

    @property
    def uses_location(self) -> bool:
        """Whether it rests on where somebody is, or was."""
        visited = any(each.act is Act.VISITED for each in behaviours(self.audience))
        return self.trigger.is_of_a_phone or self.trigger.looks_back or visited


def next_state(campaign: Campaign, action: Action, now: datetime) -> CampaignState:
    """The state after `action` at `now`. Repeating an action is harmless.

    Raises `StateConflict` where the action makes no sense: anything but ending an ended campaign, pausing
    or resuming a draft, anything with one in review, activating one whose `ends_at` has passed, anything with an archived one.
    """
    if campaign.archived:
        raise _conflict(campaign, action, "it is archived; unarchive it first")
    state = due_state(campaign, now)
    if action is Action.END:
        return CampaignState.ENDED
    if state is CampaignState.ENDED:
        raise _conflict(campaign, action, "it has ended; save a new one to run it again")
    if state is CampaignState.IN_REVIEW:
        raise _conflict(campaign, action, "it is in review; have it approved or rejected")
    if state in UNSPOKEN and action is not Action.ACTIVATE:
        raise _conflict(campaign, action, "it is a draft and sends nothing; activate it")
    if action is Action.PAUSE:
        return CampaignState.PAUSED
    if campaign.ends_at is not None and campaign.ends_at <= now:
        raise _conflict(campaign, action, "its ends_at has passed; save it with a later one")
    return _running(campaign, now)


def edited(was: Campaign | None, wanted: Campaign, now: datetime) -> Campaign:
    """What is to be saved over `was`, in the state that it then has. Raises `StateConflict` if it may not be changed."""
    if was is None:
        return wanted
    if was.archived:
        raise StateConflict(f"campaign {was.id} is archived; unarchive it before you change it")
    if due_state(was, now) is CampaignState.ENDED:
        raise StateConflict(f"campaign {was.id} has ended; save the change under a new id")
    wanted = replace(wanted, state=was.state)
    if was.state in UNSPOKEN:  # an edit takes it out of review, and voids what was approved
        same = replace(wanted, version=was.version) == was
        return wanted if same else replace(wanted, state=CampaignState.DRAFT)
    return replace(wanted, state=due_state(wanted, now))


def filed(campaign: Campaign, now: datetime, *, archived: bool) -> Campaign:
    """The campaign put away, or taken out again. Raises `StateConflict` for one that may still speak."""
    state = due_state(campaign, now)
    if archived and state not in (CampaignState.DRAFT, CampaignState.ENDED):
        raise StateConflict(f"campaign {campaign.id} is {state}; end it before you archive it")
    return replace(campaign, state=state, archived=archived)


def clone_of(campaign: Campaign, campaign_id: str, name: str | None) -> Campaign:
    """A draft under another id that does the same."""
    return replace(
        campaign,
        id=campaign_id,
        name=name or campaign.name,
        state=CampaignState.DRAFT,
        version=1,
        archived=False,
    )


def as_test(campaign: Campaign | None) -> Campaign | None:
    """What a test of the campaign is sent by: nothing that it sets for itself holds it back."""
    if campaign is None:
        return None
    return replace(
        campaign,
        state=CampaignState.ACTIVE,
        trigger=Trigger(campaign.trigger.event, any=True),
        audience=EVERYONE,
        starts_at=None,
        ends_at=None,
        windows=(),
        caps=(),
        min_gap_seconds=None,
    )


def due_state(campaign: Campaign, now: datetime) -> CampaignState:
    """The state that the clock asks for: scheduled until `starts_at`, ended from `ends_at` on.

    A draft stays a draft, and a paused campaign stays paused until its end.
    """
    return state_from(campaign.state, campaign, now)


def state_from(state: CampaignState, campaign: Campaign, now: datetime) -> CampaignState:
    """The same, had the campaign been left in that state."""
    if state in UNSPOKEN or state is CampaignState.ENDED:
        return state
    if campaign.ends_at is not None and campaign.ends_at <= now:
        return CampaignState.ENDED
    return CampaignState.PAUSED if state is CampaignState.PAUSED else _running(campaign, now)


def speaking(campaign: Campaign, variant: str | None) -> Campaign:
    """The campaign as it speaks in one of its variants; as it is where there is none of that name."""
    variants = campaign.experiment.variants if campaign.experiment else ()
    template = next((each.template for each in variants if each.name == variant), None)
    return campaign if template is None else replace(campaign, template=template)


def written_text(campaign: Campaign, values: Mapping[str, Any], wording: Wording = PLAIN) -> str:
    """The text as it is written, its links in full and whatever its length. Raises `TextRefused`."""
    empty = wording.pool_is_empty
    template = template_with(campaign.template, campaign.coupon, pool_is_empty=empty)
    chosen = choose(template, campaign.languages, wording.locale)
    values = {**values, **coupon_values(campaign.coupon, wording.coupon, pool_is_empty=empty)}
    return render(chosen.text, values, links=wording.links, locale=chosen.locale, zone=wording.zone)


def finished_text(campaign: Campaign, values: Mapping[str, Any], wording: Wording = PLAIN) -> str:
    """The text of a message with these values, under these circumstances.

    Raises `TextRefused` where `render` does, and if it is longer than the campaign's channel allows; it does not show the text.
    """
    text = written_text(campaign, values, wording)
    if campaign.short_links:
        text = shortened(text, wording.links, wording.tokens)
    if campaign.channel is not Channel.SMS:
        if len(text) > MAX_PUSH_CHARS:
            raise TextRefused(f"the text comes out longer than {MAX_PUSH_CHARS} characters")
        return text
    size = sms_size(text)
    if size.segments > campaign.max_segments:
        raise TextRefused(
            f"the text takes {size.segments} SMS segments in {size.encoding}; max_segments allows {campaign.max_segments}"
        )
    return text


def campaign_problems(campaign: Campaign, wording: Wording = PLAIN) -> tuple[FieldError, ...]:
    """The rules between fields that a campaign breaks, its template's included."""
    problems = [*_template_problems(campaign, wording), *_variant_problems(campaign, wording)]
    problems += trigger_problems(campaign.trigger)
    for name in ("min_confidence", "max_fix_age_seconds"):
        if getattr(campaign, name) is not None and not campaign.trigger.is_of_a_phone:
            problems.append(
                FieldError(name, f'goes with what a phone does, not with "{campaign.trigger.event}"')
            )
    if campaign.experiment and campaign.experiment.switchback and campaign.trigger.event in ABOUT_NO_PLACE:
        problems.append(
            FieldError("experiment.switchback", "switches places, and this offer may be about none")
        )
    nowhere = campaign.trigger.event in ABOUT_NO_PLACE and not campaign.trigger.names_places
    if campaign.coupon and not campaign.coupon.tags and nowhere:
        said = "name tags of the stores that are to take the code: this offer may be about no store, and then none would"
        problems.append(FieldError("coupon.tags", said))
    if campaign.starts_at and campaign.ends_at and campaign.ends_at <= campaign.starts_at:
        problems.append(FieldError("ends_at", "must be later than starts_at"))
    return tuple(problems)


def single_texts(campaign: Campaign) -> Iterator[tuple[str, Campaign]]:
    """Every text that the campaign may send, by the field that holds it, as a campaign with that text alone."""
    alone = replace(campaign, languages=ONE_TEXT)
    for field, text in texts_of(campaign.template).items():
        yield field, replace(alone, template=text)
    if campaign.coupon is not None and campaign.coupon.fallback is not None:
        for field, text in texts_of(campaign.coupon.fallback, "coupon.fallback").items():
            yield field, replace(alone, template=text, coupon=None)


def campaign_json(campaign: Campaign) -> dict[str, Any]:
    """The campaign as the API writes it, every default spelled out."""
    return {
        "id": campaign.id,
        "name": campaign.name,
        "version": campaign.version,
        "state": campaign.state.value,
        "trigger": trigger_json(campaign.trigger),
        "audience": audience_json(campaign.audience),
        "windows": [window_json(window) for window in campaign.windows],
        "cap": [cap_json(cap) for cap in campaign.caps],
        "min_gap_seconds": campaign.min_gap_seconds,
        "budget": budget_json(campaign.budget),
        "value": campaign.value,
        "per_visit": campaign.per_visit.value,
        "min_confidence": campaign.min_confidence,
        "max_fix_age_seconds": campaign.max_fix_age_seconds,
        "priority": campaign.priority,
        "channel": campaign.channel.value,
        "template": campaign.template if isinstance(campaign.template, str) else dict(campaign.template),
        **languages_json(campaign.languages),
        "coupon": coupon_json(campaign.coupon),
        "short_links": campaign.short_links,
        "shelf_life_seconds": campaign.shelf_life_seconds,
        "max_segments": campaign.max_segments,
        "starts_at": campaign.starts_at.isoformat() if campaign.starts_at else None,
        "ends_at": campaign.ends_at.isoformat() if campaign.ends_at else None,
        "archived": campaign.archived,
        "experiment": experiment_json(campaign.experiment),
        **({"country": campaign.country} if campaign.country else {}),
    }


def campaign_from_json(raw: Mapping[str, Any]) -> Campaign:
    """Read back what `campaign_json` wrote; for stored campaigns, whose shape was checked when they were saved."""
    audience, _ = parse_audience(raw["audience"])
    return Campaign(
        id=raw["id"],
        name=raw["name"],
        version=raw["version"],
        state=CampaignState(raw["state"]),
        trigger=trigger_from_json(raw["trigger"]),
        audience=audience,
        windows=tuple(window_from_json(window) for window in raw["windows"]),
        caps=tuple(map(cap_from_json, raw["cap"])),
        min_gap_seconds=raw.get("min_gap_seconds"),
        budget=budget_from_json(raw.get("budget")),
        value=raw.get("value", 0.0),
        per_visit=PerVisit(raw.get("per_visit", PerVisit.ONE)),
        min_confidence=raw.get("min_confidence"),
        max_fix_age_seconds=raw.get("max_fix_age_seconds"),
        priority=raw["priority"],
        channel=Channel(raw["channel"]),
        template=raw["template"],
        languages=languages_from_json(raw),
        coupon=coupon_from_json(raw.get("coupon")),
        short_links=raw.get("short_links", False),
        shelf_life_seconds=raw["shelf_life_seconds"],
        max_segments=raw.get("max_segments", DEFAULT_MAX_SEGMENTS),
        starts_at=datetime.fromisoformat(raw["starts_at"]) if raw["starts_at"] else None,
        ends_at=datetime.fromisoformat(raw["ends_at"]) if raw["ends_at"] else None,
        archived=raw.get("archived", False),
        experiment=experiment_from_json(raw.get("experiment")),
        country=raw.get("country"),
    )


def _template_problems(campaign: Campaign, wording: Wording) -> Iterator[FieldError]:
    yield from language_problems(campaign.template, campaign.languages)
    yield from offer_problems(campaign.template, campaign.coupon)
    for field, alone in single_texts(campaign):
        given = coupon_values(alone.coupon, wording.coupon)
        found = check_template(str(alone.template), field, wording.links, given)
        yield from found or _length_problems(alone, field, wording)


def _variant_problems(campaign: Campaign, wording: Wording) -> Iterator[FieldError]:
    for i, variant in enumerate(campaign.experiment.variants if campaign.experiment else ()):
        if variant.template != campaign.template:
            for problem in _template_problems(speaking(campaign, variant.name), wording):
                yield replace(problem, field=f"experiment.variants[{i}].{problem.field}")


def _length_problems(campaign: Campaign, field: str, wording: Wording) -> Iterator[FieldError]:
    """The text of a campaign with one that is too long already without any value."""
    try:
        finished_text(campaign, {}, wording)
    except TextRefused as refused:
        odd = list(outside_gsm(str(campaign.template))) if campaign.channel is Channel.SMS else []
        told = f"; UCS-2 because of {' '.join(odd[:_SHOWN_CHARACTERS])}" if odd else ""
        yield FieldError(field, f"{refused}{told}")


def _running(campaign: Campaign, now: datetime) -> CampaignState:
    early = campaign.starts_at is not None and campaign.starts_at > now
    return CampaignState.SCHEDULED if early else CampaignState.ACTIVE


def _conflict(campaign: Campaign, action: Action, why: str) -> StateConflict:
    return StateConflict(f"campaign {campaign.id} cannot {action}: {why}")
