"""The properties of a GeoJSON feature: those that a geofence has are checked, all others are kept as they are."""

import json
import unicodedata
from collections.abc import Mapping
from re import fullmatch
from typing import Any

from geofences.errors import FieldError
from geofences.geofence import (
    DEFAULT_DWELL_SECONDS,
    DWELL_LIMITS_SECONDS,
    ID_LIMIT_CHARS,
    JSON,
    NAME_LIMIT_CHARS,
    OPENING_HOURS_LIMIT_CHARS,
    PROPERTIES_LIMIT,
    PROPERTIES_LIMIT_BYTES,
    TAG_LIMIT_CHARS,
    TAGS_LIMIT,
    Kind,
)
from geofences.members import Members
from geofences.timezone import is_timezone

ID_PATTERN = f"^[A-Za-z0-9._:~-]{{1,{ID_LIMIT_CHARS}}}$"
ID_RULE = f"must be 1 to {ID_LIMIT_CHARS} characters of A-Z a-z 0-9 . _ : ~ -"
ID_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:~-")
JURISDICTION = r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?"
SIZE_NAMES = {"Point": ("radius", "radius_m"), "LineString": ("width", "width_m")}
"""Under which property each type of geometry has its size in metres; the first is the one we write."""


def plain_id(text: str) -> str:
    """`text` as an id: accents fall away, every other run of characters that an id may not have becomes a hyphen.

    ``way/23715051`` gives ``way-23715051``. What is already an id stays as it is; nothing may be left of the text.
    """
    bare = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    words = "".join(each if each in ID_PLAIN else " " for each in bare).split()
    return "-".join(words)


class Properties(Members):
    """Reads one feature's properties."""

    prefix = "properties."

    def name(self, default: str) -> str:
        """What people call the place."""
        return self.line("name", NAME_LIMIT_CHARS) or default

    def kind(self, default: Kind) -> Kind:
        """What the place is to the shop."""
        value = self.take("kind")
        if value is None:
            return default
        if value not in list(Kind):
            self.refuse("kind", f"must be one of {', '.join(Kind)}")
            return default
        return Kind(value)

    def tags(self) -> tuple[str, ...]:
        """The words by which campaigns choose places, each once."""
        value = self.take("tags")
        if value is None:
            return ()
        if not isinstance(value, list | tuple) or len(value) > TAGS_LIMIT:
            self.refuse("tags", f"must be a list of at most {TAGS_LIMIT} texts")
            return ()
        tags = [self.checked(f"tags[{place}]", each, TAG_LIMIT_CHARS) for place, each in enumerate(value)]
        return tuple(dict.fromkeys(tag for tag in tags if tag))

    def dwell_seconds(self) -> int:
        """After how long a visit is a dwell."""
        value = self.whole("dwell_seconds", DWELL_LIMITS_SECONDS)
        return DEFAULT_DWELL_SECONDS if value is None else value

    def timezone(self) -> str | None:
        """The IANA name that was given, if any."""
        value = self.take("timezone")
        if value is None or (isinstance(value, str) and is_timezone(value)):
            return value
        self.refuse("timezone", "must be an IANA time zone such as Europe/Paris; leave it out to look it up")
        return None

    def check_jurisdiction(self) -> None:
        """Whose rules hold here (ISO 3166: ``FR-67``, ``US-FL``), if somebody says so; kept as it is."""
        value = self.given.get("jurisdiction")
        if value is not None and not (isinstance(value, str) and fullmatch(JURISDICTION, value)):
            self.refuse("jurisdiction", "must be an ISO 3166 code of a country or region, such as FR-67")

    def store(self) -> str | None:
        """The id of the store that a catchment lies around."""
        value = self.line("store", NAME_LIMIT_CHARS)
        if value is None:
            return None
        store = plain_id(value)
        if not 1 <= len(store) <= ID_LIMIT_CHARS:
            self.refuse("store", "must be the id of a geofence")
        return store

    def opening_hours(self) -> str | None:
        """Opening hours as OpenStreetMap writes them (``Mo-Sa 08:30-20:00``)."""
        return self.line("opening_hours", OPENING_HOURS_LIMIT_CHARS)

    def heading(self) -> float | None:
        """The direction of travel that counts, degrees clockwise from north."""
        return self.number("heading", (0.0, 360.0))

    def size_m(self, geometry_type: str, limits: tuple[float, float]) -> float | None:
        """The radius of a Point or the width of a LineString, which must be given."""
        names = SIZE_NAMES[geometry_type]
        given = {name: self.number(name, limits) for name in names if self.given.get(name) is not None}
        if len(set(given.values())) > 1:
            self.refuse(names[1], f"differs from properties.{names[0]}; give one of them")
        if not given:
            least, most = limits
            self.refuse(names[0], f"a {geometry_type} needs a {names[0]} in metres, {least:g} to {most:g}")
        return next(iter(given.values()), None)

    def others(self) -> dict[str, JSON]:
        """The properties that nobody asked for, bounded in number and size."""
        others = {name: self.given[name] for name in self.unread()}
        if len(others) > PROPERTIES_LIMIT:
            self.errors.append(
                FieldError("properties", f"has {len(others)} further members, {PROPERTIES_LIMIT} are allowed")
            )
        elif fault := _unfit_for_keeping(others):
            self.errors.append(FieldError("properties", fault))
        return others


def _unfit_for_keeping(others: Mapping[str, Any]) -> str | None:
    try:
        size = len(json.dumps(others, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, TypeError, RecursionError):
        return (
            "holds something that JSON cannot say: a number that is not finite, broken text, endless nesting"
        )
    if size > PROPERTIES_LIMIT_BYTES:
        return f"is {size} bytes beside what we know, {PROPERTIES_LIMIT_BYTES} are allowed; drop what nobody reads"
    if _holds_nul(others):
        return "holds a NUL character, which databases refuse"
    return None


def _holds_nul(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_nul(key) or _holds_nul(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return any(_holds_nul(each) for each in value)
    return isinstance(value, str) and "\0" in value
