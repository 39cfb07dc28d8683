"""What can go wrong with consent, in words a caller can act on; engine turns each into problem+json."""

from collections.abc import Sequence
from dataclasses import dataclass


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


class EntryTaken(ConsentError):
    """An entry with this id stands already and says something else; the ledger changes nothing."""

    def __init__(self) -> None:
        said = "stands for another entry; give a new entry a new id"
        super().__init__(409, "entry_taken", f"this id {said}", [FieldError("id", said)])


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
