"""Instants and time zones as they stand in a request's body."""

from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field


def _rfc3339(value: Any) -> Any:
    if not isinstance(value, str | datetime):
        raise ValueError("an RFC 3339 text is expected, such as 2026-11-24T06:00:00+01:00")  # noqa: TRY004  # pydantic's
    return value


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("an instant of the years 1 to 9999 is expected") from None


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("an IANA name is expected, such as Europe/Paris")
    return name


Instant = Annotated[
    AwareDatetime,
    Field(strict=False),
    BeforeValidator(_rfc3339),
    AfterValidator(_in_utc),
]
"""An RFC 3339 instant, in UTC once it is read; one without an offset is refused."""

Zone = Annotated[str, AfterValidator(_zone)]
"""The IANA name of a time zone."""
