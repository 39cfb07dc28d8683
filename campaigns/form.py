"""The JSON form of a campaign as a marketer sends it: its shape and limits, and the campaign it describes."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
)

from campaigns.audience.audience import EVERYONE, MAX_TEXT_CHARS, audience_json, parse_audience
from campaigns.campaign import (
    DEFAULT_MAX_SEGMENTS,
    DEFAULT_PRIORITY,
    DEFAULT_SHELF_LIFE_SECONDS,
    MAX_SEGMENTS,
    Campaign,
    CampaignState,
    PerVisit,
    campaign_problems,
)
from campaigns.content.languages import TAG, Languages, MissingLocale, template_of
from campaigns.content.template import MAX_TEMPLATE_CHARS
from campaigns.coupons.form import CouponForm
from campaigns.errors import FieldError, InvalidCampaign
from campaigns.experiments.form import ExperimentForm, experiment_of, experiment_problems
from campaigns.limits.budget_form import BudgetForm, budget_of
from campaigns.limits.cap import MAX_CAP_SECONDS, MAX_CAPS, ONCE_A_DAY, Cap, CapScope
from campaigns.times import Instant, Zone
from campaigns.triggers.form import TriggerForm, trigger_of
from campaigns.wording import PLAIN, Wording
from consent.countries.hours import Day, window_from_json
from consent.countries.pack import packs
from consent.entry import Channel

ID_PATTERN = r"^[A-Za-z0-9._:@~-]{1,128}$"
LOCALE_PATTERN = r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}$"
MAX_WINDOWS = 21
MAX_SHELF_LIFE_SECONDS = 7 * 86_400
MAX_VALUE = 1_000_000_000

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _printable(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("printable characters are expected, and not only spaces")
    return text


def _with_rules(country: str) -> str:
    known = [pack.country for pack in packs()]
    if country not in known:
        raise ValueError(f"a country whose rules are known is expected: {', '.join(known)}")
    return country


OneText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEMPLATE_CHARS)]
Tag = Annotated[str, StringConstraints(max_length=35, pattern=rf"^{TAG.pattern}$")]
"""A language tag of BCP 47."""

Line = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT_CHARS), AfterValidator(_printable)]


Country = Annotated[
    str,
    AfterValidator(_with_rules),
    Field(description="Where readers are whose number does not tell, of offers about no place (ISO 3166)."),
]


class PreviewForm(BaseModel):
    """A made-up subject to render a template for; `geofence` is the name of the place, `timezone` its clock, `variant` one of
    the experiment's.
    """

    model_config = ConfigDict(
        **_STRICT,
        json_schema_extra={"examples": [{"attributes": {"first_name": "Ana"}, "geofence": "Bakery"}]},
    )
    attributes: Annotated[
        dict[Line, Annotated[str, StringConstraints(max_length=500)] | int | float | bool],
        Field(max_length=50),
    ] = {}
    geofence: Line | None = None
    locale: Annotated[str, StringConstraints(max_length=35, pattern=LOCALE_PATTERN)] | None = None
    timezone: Zone | None = None
    coupons_left: Annotated[bool, Field(description="False shows the text of an empty pool.")] = True
    variant: Line | None = None


class WindowForm(BaseModel):
    """Weekly hours on the wall clock of the geofence; from > to runs across midnight."""

    model_config = _STRICT
    days: Annotated[list[Annotated[Day, Field(strict=False)]], Field(min_length=1, max_length=7)]
    opens: Annotated[str, Field(alias="from", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    closes: Annotated[str, Field(alias="to", pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")]


class CapForm(BaseModel):
    """At most `max` messages to one subject in any `per_seconds` seconds: of this campaign, of all at the same geofence,
    or of all there are; over all channels, or one.
    """

    model_config = _STRICT
    max: Annotated[int, Field(ge=1, le=1000)]
    per_seconds: Annotated[int, Field(ge=1, le=MAX_CAP_SECONDS)]
    scope: Annotated[CapScope, Field(strict=False)] = CapScope.CAMPAIGN
    channel: Annotated[Channel | None, Field(strict=False)] = None


class CampaignForm(BaseModel):
    """A campaign as it is saved."""

    model_config = ConfigDict(
        **_STRICT,
        json_schema_extra={
            "examples": [
                {
                    "name": "Bread",
                    "trigger": {"event": "enter", "geofences": ["bakery"]},
                    "channel": "sms",
                    "template": "Fresh bread until ten",
                },
                {
                    "name": "Jam coffee",
                    "starts_at": "2026-11-24T06:00:00+01:00",
                    "ends_at": "2026-12-24T20:00:00+01:00",
                    "trigger": {"event": "stuck", "tags": ["city-centre"]},
                    "audience": {"all": [{"attribute": "tier", "in": ["gold"]}]},
                    "windows": [{"days": ["mon", "tue"], "from": "08:00", "to": "20:00"}],
                    "cap": [{"max": 1, "per_seconds": 86400}],
                    "priority": 50,
                    "channel": "push",
                    "template": "{{ first_name | default: 'Hello' }}, a coffee while you wait?",
                    "shelf_life_seconds": 900,
                },
                {
                    "name": "Friday's fish",
                    "trigger": {
                        "event": "broadcast",
                        "schedule": {"days": ["fri"], "time": "11:00", "timezone": "Europe/Paris"},
                    },
                    "channel": "sms",
                    "template": "Fish, fresh from the boat",
                    "shelf_life_seconds": 14400,
                },
                {
                    "name": "Your cart",
                    "trigger": {
                        "event": "cart",
                        "cart": {"min_value": 50, "currency": "EUR", "untouched_minutes": 60},
                    },
                    "channel": "push",
                    "country": "FR",
                    "template": "Your cart waits for you",
                    "shelf_life_seconds": 43200,
                },
            ]
        },
    )
    name: Line
    trigger: TriggerForm
    channel: Annotated[Channel, Field(strict=False)]
    template: Annotated[
        str | dict[str, str],
        PlainValidator(template_of, json_schema_input_type=OneText | dict[Tag, OneText]),
        Field(description="One text, or one per language; then say `missing_locale`."),
    ]
    default_locale: Annotated[
        Tag | None, Field(description="The text for readers of another language; of one text, its language.")
    ] = None
    missing_locale: Annotated[
        MissingLocale | None,
        Field(strict=False, description="Of texts per language: what becomes of readers of another one."),
    ] = None
    coupon: CouponForm | None = None
    short_links: Annotated[
        bool, Field(description="Links go by way of us, so that it can be told whether a reader opened one.")
    ] = False
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    audience: Annotated[dict[str, Any], Field(description="Default: everyone.")] = audience_json(EVERYONE)
    windows: Annotated[list[WindowForm], Field(max_length=MAX_WINDOWS, description="Default: any time.")] = []
    cap: Annotated[list[CapForm], Field(min_length=1, max_length=MAX_CAPS)] = [
        CapForm(max=ONCE_A_DAY.max, per_seconds=ONCE_A_DAY.per_seconds)
    ]
    min_gap_seconds: Annotated[
        int | None,
        Field(ge=1, le=MAX_CAP_SECONDS, description="The least time since the last message of any campaign."),
    ] = None
    priority: Annotated[int, Field(ge=0, le=100)] = DEFAULT_PRIORITY
    value: Annotated[
        float, Field(ge=0, le=MAX_VALUE, description="Of two of the same priority the one worth more speaks.")
    ] = 0.0
    per_visit: Annotated[PerVisit, Field(strict=False)] = PerVisit.ONE
    budget: BudgetForm | None = None
    min_confidence: Annotated[
        float | None, Field(ge=0, le=1, description="The least probability of the event.")
    ] = None
    max_fix_age_seconds: Annotated[
        int | None,
        Field(ge=1, le=MAX_SHELF_LIFE_SECONDS, description="The longest time since the event was noticed."),
    ] = None
    shelf_life_seconds: Annotated[int, Field(ge=1, le=MAX_SHELF_LIFE_SECONDS)] = DEFAULT_SHELF_LIFE_SECONDS
    max_segments: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_SEGMENTS,
            description="The most segments that an SMS may take; a longer one is not sent.",
        ),
    ] = DEFAULT_MAX_SEGMENTS
    experiment: ExperimentForm | None = None
    country: Country | None = None


def campaign_of(
    form: CampaignForm, campaign_id: str, state: CampaignState, wording: Wording = PLAIN
) -> Campaign:
    """The campaign that a form describes, to be worded under these circumstances. Raises `InvalidCampaign` with every field that breaks a rule."""
    audience, problems = parse_audience(form.audience)
    problems += tuple(
        FieldError(f"windows[{i}].to", "must differ from `from`; the whole day is 00:00 to 24:00")
        for i, window in enumerate(form.windows)
        if window.opens == window.closes
    )
    campaign = Campaign(
        id=campaign_id,
        name=form.name,
        state=state,
        trigger=trigger_of(form.trigger),
        audience=audience,
        windows=()
        if problems
        else tuple(window_from_json(w.model_dump(by_alias=True)) for w in form.windows),
        caps=tuple(Cap(cap.max, cap.per_seconds, cap.scope, cap.channel) for cap in form.cap),
        min_gap_seconds=form.min_gap_seconds,
        budget=budget_of(form.budget),
        value=form.value,
        per_visit=form.per_visit,
        min_confidence=form.min_confidence,
        max_fix_age_seconds=form.max_fix_age_seconds,
        priority=form.priority,
        channel=form.channel,
        template=form.template,
        languages=Languages(form.default_locale, form.missing_locale),
        coupon=form.coupon.offer() if form.coupon else None,
        short_links=form.short_links,
        shelf_life_seconds=form.shelf_life_seconds,
        max_segments=form.max_segments,
        starts_at=form.starts_at,
        ends_at=form.ends_at,
        experiment=experiment_of(form.experiment, campaign_id, form.template),
        country=form.country,
    )
    problems += (*campaign_problems(campaign, wording), *experiment_problems(campaign.experiment))
    if problems:
        raise InvalidCampaign("the campaign breaks a rule; see errors", problems)
    return campaign
