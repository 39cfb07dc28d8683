"""The JSON form of a trigger as a marketer sends it, and the trigger it describes."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    model_validator,
)

from campaigns.audience.audience import MAX_TEXT_CHARS
from campaigns.times import Instant, Zone
from campaigns.triggers.cart import CartWish
from campaigns.triggers.occasion import Timed, kind_of
from campaigns.triggers.schedule import Once, Schedule, Weekly
from campaigns.triggers.trigger import (
    MAX_ABSENCE_DAYS,
    MAX_DELAY_SECONDS,
    MAX_DWELL_MINUTES,
    MAX_UNTOUCHED_MINUTES,
    MAX_VISIT_DAYS,
    MAX_VISIT_NUMBER,
    Deed,
    Trigger,
    VisitNumber,
)
from consent.countries.hours import Day, minute_of
from geofences.event import EventKind

MAX_GEOFENCES = 1000
MAX_TAGS = 50
MAX_ZONES = 50
MAX_ITEMS = 50

_STRICT = ConfigDict(extra="forbid", strict=True)


def _printable(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("printable characters are expected, and not only spaces")
    return text


_Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT_CHARS), AfterValidator(_printable)]


def _kind(name: Any) -> EventKind | Timed:
    try:
        return kind_of(str(name))
    except ValueError:
        raise ValueError(f"one of these is expected: {', '.join((*EventKind, *Timed))}") from None


Kind = Annotated[EventKind | Timed, PlainValidator(_kind, json_schema_input_type=EventKind | Timed)]
"""What may make a campaign speak."""


class DaysForm(BaseModel):
    """So many days, each of 24 hours, back from the event."""

    model_config = _STRICT
    days: Annotated[int, Field(ge=1, le=MAX_VISIT_DAYS)]


class VisitForm(BaseModel):
    """Which visit to the place it is, of those in the calendar month there, or in so many days."""

    model_config = _STRICT
    number: Annotated[int, Field(ge=1, le=MAX_VISIT_NUMBER)]
    per: Literal["month"] | DaysForm = "month"


class CartWishForm(BaseModel):
    """An open cart: filled within the last seven days, and not bought. Of items and categories one is enough."""

    model_config = ConfigDict(
        **_STRICT,
        allow_inf_nan=False,
        json_schema_extra={"examples": [{"min_value": 50, "currency": "EUR", "untouched_minutes": 60}]},
    )
    min_value: Annotated[
        float | None, Field(ge=0, strict=False, description="The least that it is worth.")
    ] = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = None
    items: Annotated[list[_Name], Field(max_length=MAX_ITEMS, description="Codes, as carts tell them.")] = []
    categories: Annotated[list[_Name], Field(max_length=MAX_ITEMS)] = []
    untouched_minutes: Annotated[
        int, Field(ge=0, le=MAX_UNTOUCHED_MINUTES, description="For so long nothing was done with it.")
    ] = 0

    def wish(self) -> CartWish:
        """What the form asks for."""
        return CartWish(
            self.min_value, self.currency, tuple(self.items), tuple(self.categories), self.untouched_minutes
        )


class ScheduleForm(BaseModel):
    """Once, `at` an instant; or on these `days` of the week (default: every day) at a `time` of the wall clock of `timezone`."""

    model_config = ConfigDict(
        **_STRICT,
        json_schema_extra={
            "examples": [{"days": ["fri"], "time": "17:00", "timezone": "Europe/Paris"}],
        },
    )
    at: Instant | None = None
    days: Annotated[list[Annotated[Day, Field(strict=False)]], Field(min_length=1, max_length=7)] | None = (
        None
    )
    time: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = None
    timezone: Zone | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "ScheduleForm":
        weekly = (self.time, self.timezone)
        once = self.at is not None and not any((*weekly, self.days))
        if not once and (self.at is not None or None in weekly):
            raise ValueError("say either at, or time and timezone, and on which days unless it is every day")
        return self

    def schedule(self) -> Schedule:
        """When it goes."""
        if self.at is not None:
            return Once(self.at)
        return Weekly(frozenset(self.days or Day), minute_of(self.time or ""), self.timezone or "")


class TriggerForm(BaseModel):
    """The moment; `geofences` holds ids, and `tags` those that a geofence may carry. `cart` is the moment at which an open
    cart has been left for so long; with an event of a phone, `cart` asks that there be one. `absence` is the moment at which
    somebody has not come to any of the places for `absent_days`; `broadcast` that at which the `schedule` speaks to the audience.
    """

    model_config = _STRICT
    event: Kind
    geofences: Annotated[list[_Name], Field(max_length=MAX_GEOFENCES)] = []
    tags: Annotated[list[_Name], Field(max_length=MAX_TAGS)] = []
    any: bool = False
    zones: Annotated[
        list[_Name],
        Field(
            max_length=MAX_ZONES,
            description="Of a zone event: the zones that beacons stand for. Default: any.",
        ),
    ] = []
    dwell_minutes: Annotated[
        int | None,
        Field(ge=1, le=MAX_DWELL_MINUTES, description="Of a dwell: how long. Default: as the geofence says."),
    ] = None
    visit: Annotated[VisitForm | None, Field(description="Which visit to the place it must be.")] = None
    absent_days: Annotated[
        int | None,
        Field(
            ge=1,
            le=MAX_VISIT_DAYS,
            description="Days without a visit to the place before this one, after an earlier. Of an absence: so many"
            f" days after the last visit to any of the places, {MAX_ABSENCE_DAYS} at most.",
        ),
    ] = None
    opening_hours: Annotated[
        bool, Field(description="Only while the place is open, by its opening_hours and its holidays.")
    ] = False
    delay_seconds: Annotated[
        int,
        Field(ge=0, le=MAX_DELAY_SECONDS, description="The offer is decided anew, and goes, so much later."),
    ] = 0
    cancel_if: Annotated[
        list[Annotated[Deed, Field(strict=False)]],
        Field(max_length=len(Deed), description="What calls it off if it happens before it goes."),
    ] = []
    cart: Annotated[CartWishForm | None, Field(description="The open cart that there must be.")] = None
    schedule: Annotated[ScheduleForm | None, Field(description="Of a broadcast: when it goes.")] = None


def trigger_of(form: TriggerForm) -> Trigger:
    """The trigger that a form describes; `trigger_problems` tells whether it makes sense."""
    visit = form.visit
    return Trigger(
        form.event,
        tuple(form.geofences),
        tuple(form.tags),
        form.any,
        zones=tuple(form.zones),
        dwell_minutes=form.dwell_minutes,
        visit=VisitNumber(visit.number, visit.per.days if isinstance(visit.per, DaysForm) else None)
        if visit
        else None,
        absent_days=form.absent_days,
        opening_hours=form.opening_hours,
        delay_seconds=form.delay_seconds,
        cancel_if=tuple(dict.fromkeys(form.cancel_if)),
        cart=form.cart.wish() if form.cart else None,
        schedule=form.schedule.schedule() if form.schedule else None,
    )
