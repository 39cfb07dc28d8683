"""A subject: the shopper whom consents, devices and messages are about."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from consent.entry import ID, ID_RULE
from consent.errors import FieldError, InvalidConsent

DEVICES_LIMIT = 20
ATTRIBUTES_LIMIT = 50
ATTRIBUTE_KEY_LIMIT_CHARS = 64
ATTRIBUTE_VALUE_LIMIT_CHARS = 500
INTEGER_LIMIT = 2**53
"""Beyond this, readers of JSON disagree about the number."""

PUSH_LIMIT_BYTES = 4096

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")

Attribute = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Device:
    """A phone or browser of the subject, and where a push reaches it (None: nowhere)."""

    device: str
    push: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is held about a shopper. `phone` is E.164, `locale` a language tag such as fr-FR, `timezone` an IANA name.
    Raises InvalidConsent, naming every field at fault.
    """

    id: str
    phone: str | None = field(default=None, repr=False)
    locale: str | None = None
    timezone: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict, repr=False)
    devices: tuple[Device, ...] = ()

    def __post_init__(self) -> None:
        flaws = (*_identity_flaws(self), *_attribute_flaws(self.attributes), *_device_flaws(self.devices))
        if flaws:
            raise InvalidConsent("invalid_subject", flaws)


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def _identity_flaws(subject: Subject) -> Iterator[FieldError]:
    if not ID.fullmatch(subject.id):
        yield FieldError("id", f"must be {ID_RULE}")
    if subject.phone is not None and not E164.fullmatch(subject.phone):
        yield FieldError("phone", "must be in E.164: a plus, the country code and the number, digits only")
    if subject.locale is not None and not LOCALE.fullmatch(subject.locale):
        yield FieldError("locale", "must be a language tag, such as fr or fr-FR")
    if subject.timezone is not None and subject.timezone not in _timezones():
        yield FieldError("timezone", "must be an IANA name, such as Europe/Paris")


def _attribute_flaws(attributes: Mapping[str, Attribute]) -> Iterator[FieldError]:
    if len(attributes) > ATTRIBUTES_LIMIT:
        yield FieldError("attributes", f"at most {ATTRIBUTES_LIMIT} are kept")
    if not all(key and len(key) <= ATTRIBUTE_KEY_LIMIT_CHARS and key.isprintable() for key in attributes):
        yield FieldError("attributes", f"names are 1 to {ATTRIBUTE_KEY_LIMIT_CHARS} printable characters")
    elif not all(_is_attribute(value) for value in attributes.values()):
        said = (
            f"values are text of at most {ATTRIBUTE_VALUE_LIMIT_CHARS} characters, true or false, or numbers"
        )
        yield FieldError("attributes", f"{said}, whole ones up to 2^53")


def _is_attribute(value: Attribute) -> bool:
    match value:
        case str():
            return len(value) <= ATTRIBUTE_VALUE_LIMIT_CHARS and _is_json(
                value, ATTRIBUTE_VALUE_LIMIT_CHARS * 12
            )
        case int():
            return abs(value) <= INTEGER_LIMIT
        case _:
            return math.isfinite(value)


def _device_flaws(devices: tuple[Device, ...]) -> Iterator[FieldError]:
    if len(devices) > DEVICES_LIMIT:
        yield FieldError("devices", f"at most {DEVICES_LIMIT} are kept")
    seen = set[str]()
    for position, device in enumerate(devices):
        if not ID.fullmatch(device.device):
            yield FieldError(f"devices[{position}].device", f"must be {ID_RULE}")
        if device.device in seen:
            yield FieldError(f"devices[{position}].device", "stands in the list twice; name it once")
        if device.push is not None and not _is_json(device.push, PUSH_LIMIT_BYTES):
            said = f"must be a JSON object of at most {PUSH_LIMIT_BYTES} bytes"
            yield FieldError(f"devices[{position}].push", said)
        seen.add(device.device)


def _is_json(value: Any, limit_bytes: int) -> bool:
    """Whether the records store and every reader can take it: no NaN, no lone surrogates, no NUL."""
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return len(written) <= limit_bytes and rb"\u0000" not in written
