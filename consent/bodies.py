"""The JSON of the consent routes: what they accept and what they answer."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints

from consent.desk import Held
from consent.entry import (
    EVIDENCE_LIMIT_CHARS,
    PARTNER_LIMIT_CHARS,
    SOURCE_LIMIT_CHARS,
    TEXT_VERSION_LIMIT_CHARS,
    Action,
    Channel,
    Entry,
    Purpose,
    Reason,
    Standing,
    questions,
    standing,
)
from consent.phone import WRITTEN_LIMIT_CHARS, normalise
from consent.push import DEFAULT_APP
from consent.subject import (
    ATTRIBUTE_KEY_LIMIT_CHARS,
    ATTRIBUTE_VALUE_LIMIT_CHARS,
    ATTRIBUTES_LIMIT,
    DEVICES_LIMIT,
    Device,
    Subject,
)

ID_PATTERN = r"^[A-Za-z0-9._:@~-]{1,128}$"
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.IGNORECASE)

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _instant(value: object) -> object:
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        raise ValueError("must be RFC 3339 with a zone, such as 2026-11-23T09:00:00+01:00")
    return datetime.fromisoformat(value.upper())


Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
AttributeName = Annotated[str, StringConstraints(min_length=1, max_length=ATTRIBUTE_KEY_LIMIT_CHARS)]
AttributeText = Annotated[str, StringConstraints(max_length=ATTRIBUTE_VALUE_LIMIT_CHARS)]

_SUBJECT: dict[str, JsonValue] = {
    "phone": "+33639980001",
    "locale": "fr-FR",
    "timezone": "Europe/Paris",
    "attributes": {"first_name": "Ana", "tier": "gold"},
    "devices": [{"device": "phone-1", "push": {"kind": "fcm_token", "token": "t0k3n"}}],
}
_GRANT: dict[str, JsonValue] = {
    "purpose": "marketing",
    "channel": "sms",
    "action": "grant",
    "source": "loyalty form, Rue Haute",
    "text_version": "offers-2026-09-fr",
    "evidence": "scan 4711",
    "jurisdiction": "FR",
}
_ENTRY: dict[str, JsonValue] = {
    "id": "5b0c6a4e9d3f4f0e8f6f0f6f0f6f0f6f",
    "subject": "ana",
    **_GRANT,
    "language": "fr-FR",
    "text_hash": "3f1e6d0c9b7a48d5a2c4e6f80123456789abcdef0123456789abcdef01234567",
    "partner": None,
    "at": "2026-11-23T08:00:00Z",
    "recorded_at": "2026-11-23T08:00:00Z",
    "actor": "key:crm",
    "seq": 41,
}


AppName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
"""An app as the engine's push settings name it; on APNs its bundle id."""


class FcmBody(BaseModel):
    """An address of Firebase Cloud Messaging: a registration token, or an installation id (fid)."""

    model_config = STRICT

    kind: Literal["fcm_token", "fcm_fid"]
    token: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_:.-]{1,2048}$")]
    app: AppName = DEFAULT_APP


class ApnsBody(BaseModel):
    """A device token of Apple's service, in hex, and in which of its two environments it was made."""

    model_config = STRICT

    kind: Literal["apns"]
    token: Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{8,400}$")]
    app: AppName = DEFAULT_APP
    environment: Literal["production", "sandbox"] = "production"


class WebPushKeys(BaseModel):
    """The keys of a browser's subscription, in base64url."""

    model_config = STRICT

    p256dh: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{87}=?$")]
    auth: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22}(==)?$")]


class WebPushBody(BaseModel):
    """A browser's subscription: what `PushSubscription.toJSON()` gives, and its kind."""

    model_config = STRICT

    kind: Literal["webpush"]
    endpoint: Annotated[str, StringConstraints(pattern=r"^https?://[!-~]{1,2000}$")]
    keys: WebPushKeys
    app: AppName = DEFAULT_APP


class WebhookBody(BaseModel):
    """A device that a system of the shop's own reaches, under the name that it has there."""

    model_config = STRICT

    kind: Literal["webhook"]
    token: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,500}$")]
    app: AppName = DEFAULT_APP


PushBody = Annotated[FcmBody | ApnsBody | WebPushBody | WebhookBody, Field(discriminator="kind")]


class DeviceBody(BaseModel):
    """A device of the subject and where a push reaches it."""

    model_config = STRICT

    device: Id
    push: PushBody | None = None


class DeviceAnswer(BaseModel):
    """A device of the subject and where a push reaches it, as it was given."""

    device: Id
    push: dict[str, JsonValue] | None = None


class SubjectBody(BaseModel):
    """All that is to be held about a subject: what is left out is removed."""

    model_config = ConfigDict(**STRICT, json_schema_extra={"examples": [_SUBJECT]})

    phone: Annotated[str, StringConstraints(max_length=WRITTEN_LIMIT_CHARS)] | None = None
    locale: Annotated[str, StringConstraints(max_length=35)] | None = None
    timezone: Annotated[str, StringConstraints(max_length=64)] | None = None
    attributes: Annotated[
        dict[AttributeName, AttributeText | int | float | bool], Field(max_length=ATTRIBUTES_LIMIT)
    ] = {}
    devices: Annotated[list[DeviceBody], Field(max_length=DEVICES_LIMIT)] = []

    def subject(self, subject_id: str, region: str) -> Subject:
        """The subject meant; a phone number without a country code belongs to `region`."""
        return Subject(
            id=subject_id,
            phone=None if self.phone is None else normalise(self.phone, region),
            locale=self.locale,
            timezone=self.timezone,
            attributes=self.attributes,
            devices=tuple(
                Device(
                    device=device.device,
                    push=device.push.model_dump(exclude_unset=True) if device.push else None,
                )
                for device in self.devices
            ),
        )


class ConsentBody(BaseModel):
    """One act of the subject about one purpose. A withdrawal needs no `text_version`. `evidence` names what shows that
    it happened, `jurisdiction` the law it was given under; `partner` is who collected it for you, and a partner's grant
    carries only with `evidence` and `at`.
    """

    model_config = ConfigDict(**STRICT, json_schema_extra={"examples": [_GRANT]})

    purpose: Annotated[Purpose, Field(strict=False)]
    channel: Annotated[Channel, Field(strict=False)] | None = None
    action: Annotated[Action, Field(strict=False)]
    source: Annotated[str, StringConstraints(min_length=1, max_length=SOURCE_LIMIT_CHARS)]
    text_version: (
        Annotated[str, StringConstraints(min_length=1, max_length=TEXT_VERSION_LIMIT_CHARS)] | None
    ) = None
    evidence: Annotated[str, StringConstraints(min_length=1, max_length=EVIDENCE_LIMIT_CHARS)] | None = None
    jurisdiction: Annotated[str, StringConstraints(max_length=6)] | None = None
    partner: Annotated[str, StringConstraints(min_length=1, max_length=PARTNER_LIMIT_CHARS)] | None = None
    at: Instant | None = None


class SubjectAnswer(BaseModel):
    """What is held about a subject."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "ana", **_SUBJECT}]})

    id: str
    phone: str | None
    locale: str | None
    timezone: str | None
    attributes: dict[str, str | int | float | bool]
    devices: list[DeviceAnswer]

    @classmethod
    def of(cls, subject: Subject) -> "SubjectAnswer":
        """The answer for a subject."""
        return cls(
            id=subject.id,
            phone=subject.phone,
            locale=subject.locale,
            timezone=subject.timezone,
            attributes=dict(subject.attributes),
            devices=[
                DeviceAnswer(device=device.device, push=None if device.push is None else dict(device.push))
                for device in subject.devices
            ],
        )


class EntryAnswer(BaseModel):
    """One entry of the ledger."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_ENTRY]})

    id: str
    subject: str
    purpose: Purpose
    channel: Channel | None
    action: Action
    source: str
    text_version: str | None
    language: str | None
    text_hash: str | None
    evidence: str | None
    jurisdiction: str | None
    partner: str | None
    at: datetime
    recorded_at: datetime
    actor: str
    seq: int


class AskedAnswer(BaseModel):
    """The grant waits for the number's own yes; until when that counts."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"state": "asked", "answer_until": "2026-11-25T08:00:00Z"}]}
    )

    state: Literal["asked"]
    answer_until: datetime


class StandingAnswer(BaseModel):
    """What stands now for one purpose and channel; `because` is the id of the entry that decided, `since` its time."""

    purpose: Purpose
    channel: Channel | None
    allowed: bool
    reason: Reason
    since: datetime | None
    because: str | None


class ConsentsAnswer(BaseModel):
    """A page of the subject's entries, oldest record first, and all that stands."""

    items: list[EntryAnswer]
    standing: list[StandingAnswer]
    next: str | None


class TextAnswer(BaseModel):
    """What is kept of a text the subject sent: neither its words nor its number."""

    model_config = ConfigDict(from_attributes=True)

    sid: str
    verdict: str
    answer: str
    language: str
    received_at: datetime


def standings(entries: tuple[Entry, ...], at: datetime) -> list[StandingAnswer]:
    """What stands at `at`, for every purpose and channel."""
    return [
        standing_answer(standing(entries, purpose, channel, at), purpose, channel)
        for purpose, channel in questions()
    ]


def standing_answer(stands: Standing, purpose: Purpose, channel: Channel | None) -> StandingAnswer:
    """A standing, as the API tells it."""
    because = stands.because
    return StandingAnswer(
        purpose=purpose,
        channel=channel,
        allowed=stands.allowed,
        reason=stands.reason,
        since=None if because is None else because.at,
        because=None if because is None else because.id,
    )


def export_of(held: Held, at: datetime) -> dict[str, Any]:
    """Everything held, as JSON values: the other domains' records stand beside ours under their own names."""
    subject = SubjectAnswer.of(held.subject).model_dump(mode="json")
    return {
        **held.records,
        "exported_at": at,
        "subject": {**subject, "created_at": held.created_at, "updated_at": held.updated_at},
        "consents": [EntryAnswer.model_validate(entry) for entry in held.entries],
        "standing": standings(held.entries, at),
        "texts": [TextAnswer.model_validate(text) for text in held.texts],
    }
