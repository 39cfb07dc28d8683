"""The properties of a GeoJSON feature: those that a geofence has are checked, all others are kept as they are."""

import json
import unicodedata
from collections.abc import Mapping
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
from geofences.timezone import is_timezone

ID_PATTERN = f"^[A-Za-z0-9._:~-]{{1,{ID_LIMIT_CHARS}}}$"
ID_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:~-")
SIZE_NAMES = {"Point": ("radius", "radius_m"), "LineString": ("width", "width_m")}
"""Under which property each type of geometry has its size in metres; the first is the one we write."""


def plain_id(text: str) -> str:
    """`text` as an id: accents fall away, every other run of characters that an id may not have becomes a hyphen.

    ``way/23715051`` gives ``way-23715051``. What is already an id stays as it is; nothing may be left of the text.
    """
    bare = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    words = "".join(each if each in ID_PLAIN else " " for each in bare).split()
    return "-".join(words)


class Properties:
    """Reads one feature's properties by name; what is wrong with them is told to `errors`. A null is as absent."""

    def __init__(self, given: Mapping[str, Any], errors: list[FieldError]) -> None:
        self._given = given
        self._errors = errors
        self._read: set[str] = set()

    def name(self, default: str) -> str:
        """What people call the place."""
        return self._text("name", NAME_LIMIT_CHARS) or default

    def kind(self, default: Kind) -> Kind:
        """What the place is to the shop."""
        value = self._take("kind")
        if value is None:
            return default
        if value not in list(Kind):
            self._refuse("kind", f"must be one of {', '.join(Kind)}")
            return default
        return Kind(value)

    def tags(self) -> tuple[str, ...]:
        """The words by which campaigns choose places, each once."""
        value = self._take("tags")
        if value is None:
            return ()
        if not isinstance(value, list | tuple) or len(value) > TAGS_LIMIT:
            self._refuse("tags", f"must be a list of at most {TAGS_LIMIT} texts")
            return ()
        tags = [self._checked(f"tags[{place}]", each, TAG_LIMIT_CHARS) for place, each in enumerate(value)]
        return tuple(dict.fromkeys(tag for tag in tags if tag))

    def dwell_seconds(self) -> int:
        """After how long a visit is a dwell."""
        least, most = DWELL_LIMITS_SECONDS
        value = self._number("dwell_seconds", DWELL_LIMITS_SECONDS)
        if value is None:
            return DEFAULT_DWELL_SECONDS
        if value != int(value):
            self._refuse("dwell_seconds", f"must be a whole number, {least} to {most}")
        return int(value)

    def timezone(self) -> str | None:
        """The IANA name that was given, if any."""
        value = self._take("timezone")
        if value is None or (isinstance(value, str) and is_timezone(value)):
            return value
        self._refuse("timezone", "must be an IANA time zone such as Europe/Paris; leave it out to look it up")
        return None

    def store(self) -> str | None:
        """The id of the store that a catchment lies around."""
        value = self._text("store", NAME_LIMIT_CHARS)
        if value is None:
            return None
        store = plain_id(value)
        if not 1 <= len(store) <= ID_LIMIT_CHARS:
            self._refuse("store", "must be the id of a geofence")
        return store

    def opening_hours(self) -> str | None:
        """Opening hours as OpenStreetMap writes them (``Mo-Sa 08:30-20:00``)."""
        return self._text("opening_hours", OPENING_HOURS_LIMIT_CHARS)

    def heading(self) -> float | None:
        """The direction of travel that counts, degrees clockwise from north."""
        return self._number("heading", (0.0, 360.0))

    def size_m(self, geometry_type: str, limits: tuple[float, float]) -> float | None:
        """The radius of a Point or the width of a LineString, which must be given."""
        names = SIZE_NAMES[geometry_type]
        given = {name: self._number(name, limits) for name in names if self._given.get(name) is not None}
        if len(set(given.values())) > 1:
            self._refuse(names[1], f"differs from properties.{names[0]}; give one of them")
        if not given:
            least, most = limits
            self._refuse(names[0], f"a {geometry_type} needs a {names[0]} in metres, {least:g} to {most:g}")
        return next(iter(given.values()), None)

    def others(self) -> dict[str, JSON]:
        """The properties that nobody asked for, bounded in number and size."""
        others = {name: value for name, value in self._given.items() if name not in self._read}
        if len(others) > PROPERTIES_LIMIT:
            self._errors.append(
                FieldError("properties", f"has {len(others)} further members, {PROPERTIES_LIMIT} are allowed")
            )
        elif fault := _unfit_for_keeping(others):
            self._errors.append(FieldError("properties", fault))
        return others

    def _take(self, name: str) -> Any:
        self._read.add(name)
        return self._given.get(name)

    def _text(self, name: str, limit_chars: int) -> str | None:
        value = self._take(name)
        return None if value is None else self._checked(name, value, limit_chars)

    def _checked(self, name: str, value: object, limit_chars: int) -> str | None:
        """The text with every run of white space made one space; None when it is empty or refused."""
        text = " ".join(value.split()) if isinstance(value, str) else None
        if text is None or len(text) > limit_chars:
            self._refuse(name, f"must be a text of at most {limit_chars} characters")
        elif any(unicodedata.category(each) in {"Cc", "Cs"} for each in text):
            self._refuse(name, "holds a control character or half a surrogate pair")
        else:
            return text or None
        return None

    def _number(self, name: str, limits: tuple[float, float]) -> float | None:
        value = self._take(name)
        if value is None:
            return None
        least, most = limits
        if type(value) not in {int, float} or not least <= value <= most:
            self._refuse(name, f"must be a number, {least:g} to {most:g}")
            return None
        return float(value)

    def _refuse(self, name: str, detail: str) -> None:
        self._errors.append(FieldError(f"properties.{name}", detail))


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
