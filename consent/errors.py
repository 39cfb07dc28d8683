"""What can go wrong with consent, in words a caller can act on; engine turns each into problem+json."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of a request that cannot stand, and what was allowed. Never holds the value itself."""

    field: str
    detail: str


class ConsentError(Exception):
    """Base of the domain's errors: an HTTP `status`, a stable `code`, words for people, and the fields at fault."""

    def __init__(self, status: int, code: str, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)


class InvalidConsent(ConsentError):
    """What was asked has a wrong shape; `errors` names every field at fault."""

    def __init__(self, code: str, errors: Sequence[FieldError]) -> None:
        detail = "; ".join(f"{error.field}: {error.detail}" for error in errors)
        super().__init__(422, code, detail, errors)


class SubjectNotFound(ConsentError):
    """No such subject: never made known, or erased."""

    def __init__(self) -> None:
        super().__init__(
            404, "subject_not_found", "no such subject; make it known with PUT /v1/subjects/{id}"
        )


class DeviceTaken(ConsentError):
    """A device belongs to one subject at a time; `positions` are its places in the list of devices."""

    def __init__(self, positions: Sequence[int]) -> None:
        said = "belongs to another subject; remove it there first"
        errors = [FieldError(f"devices[{position}].device", said) for position in positions]
        super().__init__(409, "device_taken", f"a device {said}", errors)


class NumberSuppressed(ConsentError):
    """The number said stop, or belonged to somebody who was erased; only its owner's own fresh act lifts that."""

    def __init__(self, field: str) -> None:
        said = "this number is on the suppression list; only a fresh act of its owner (START by SMS) takes it off"
        detail = f"{said}. Leave `phone` out to keep the rest" if field == "phone" else said
        super().__init__(409, "number_suppressed", detail, [FieldError(field, said)])


class EntryTaken(ConsentError):
    """An entry with this id stands already and says something else; the ledger changes nothing."""

    def __init__(self) -> None:
        said = "stands for another entry; give a new entry a new id"
        super().__init__(409, "entry_taken", f"this id {said}", [FieldError("id", said)])


class EntryNotFound(ConsentError):
    """The subject has no such entry: never written, or erased."""

    def __init__(self) -> None:
        super().__init__(
            404, "entry_not_found", "no such entry; GET /v1/subjects/{id}/consents lists those that stand"
        )


class IncompleteGrant(ConsentError):
    """This installation takes grants only with all that proves them."""

    def __init__(self, missing: Sequence[str]) -> None:
        said = "is needed: this installation takes complete grants only"
        detail = f"{', '.join(missing)} {said}"
        super().__init__(422, "incomplete_grant", detail, [FieldError(field, said) for field in missing])


class NoticeNotFound(ConsentError):
    """No text was published under this version."""

    def __init__(self) -> None:
        super().__init__(404, "notice_not_found", "no such notice; publish it with PUT /v1/notices/{version}")


class NoticeTaken(ConsentError):
    """A version stands for one text for ever."""

    def __init__(self) -> None:
        said = "stands for another text; publish a changed text under a new version"
        super().__init__(409, "notice_taken", f"this version {said}", [FieldError("version", said)])


class LedgerDamaged(ConsentError):
    """The log's own tables do not hold together; nothing is written on top of that."""

    def __init__(self) -> None:
        super().__init__(
            500, "ledger_damaged", "the consent log does not hold together; run `chaland consent verify`"
        )


class LedgerKeyDiffers(ConsentError):
    """The key here is not one that signed the log's newest checkpoint."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "ledger_key_differs",
            "the consent log was signed with another key; give every process that one (CHALAND_LEDGER_KEY_FILE)",
        )


class StillSending(ConsentError):
    """What was withdrawn is recorded and no further message will start, but one that was on its way has not come to
    its end within the time there was: so the withdrawal is not confirmed yet.
    """

    def __init__(self) -> None:
        detail = "recorded; a message that was on its way has not ended yet: ask again in a few seconds"
        super().__init__(503, "still_sending", detail)


class ReviewNotFound(ConsentError):
    """No text with this id is, or was, in doubt."""

    def __init__(self) -> None:
        super().__init__(
            404, "review_not_found", "no text with this id was in doubt; GET /v1/reviews lists them"
        )


class ReviewSettled(ConsentError):
    """The text was settled before, and otherwise."""

    def __init__(self, decision: str) -> None:
        super().__init__(409, "review_settled", f"this text was settled before: {decision}")


class OptInAsked(ConsentError):
    """A number that must say yes itself was asked, and has not; it is not asked again before `again_at`."""

    def __init__(self, again_at: datetime) -> None:
        detail = (
            "the number was asked to confirm and has not said yes in time;"
            f" it may be asked again from {again_at.isoformat(timespec='seconds')}"
        )
        super().__init__(409, "opt_in_asked", detail)


class NotSigned(ConsentError):
    """A webhook call that does not carry a valid signature of the provider."""

    def __init__(self) -> None:
        detail = "the signature is missing or wrong; check the auth token and the public URL in the settings"
        super().__init__(403, "not_signed", detail)


class LinkUnknown(ConsentError):
    """A link that we did not make, that was made for somebody who is not known any more, or for another number."""

    def __init__(self) -> None:
        super().__init__(404, "link_unknown", "this link opens nothing; ask for a new one")


class LinkExpired(ConsentError):
    """A link of ours that is too old."""

    def __init__(self) -> None:
        super().__init__(410, "link_expired", "this link is too old; ask for a new one")


class GrantRefused(ConsentError):
    """A grant that may not be recorded: the subject is too young, or has objected."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(409, code, detail)


class RequestNotFound(ConsentError):
    """No such request."""

    def __init__(self) -> None:
        super().__init__(404, "request_not_found", "no such request; GET /v1/privacy-requests lists them")


class RequestClosed(ConsentError):
    """A request that is closed, or was extended before, stays as it is."""

    def __init__(self, detail: str) -> None:
        super().__init__(409, "request_closed", detail)
