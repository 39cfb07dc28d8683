"""What a campaign caller can do wrong, with the words and the HTTP status that tell them what to do next."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of the input, by its path (``trigger.event``), and what is wrong with it."""

    field: str
    detail: str


class CampaignError(Exception):
    """Base of what this package raises at its callers; the engine answers it as problem+json."""

    status = 400
    code = "campaign_error"

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class CampaignNotFound(CampaignError):
    """No campaign has this id."""

    status = 404
    code = "campaign_not_found"

    def __init__(self, campaign_id: str) -> None:
        super().__init__(f"no campaign {campaign_id}; PUT /v1/campaigns/{campaign_id} makes it")


class StateConflict(CampaignError):
    """The campaign's state does not allow this."""

    status = 409
    code = "campaign_state_conflict"


class DecisionNotFound(CampaignError):
    """No decision has this id."""

    status = 404
    code = "decision_not_found"


class MessageNotFound(CampaignError):
    """No message has this id."""

    status = 404
    code = "message_not_found"


class NotToRedrive(CampaignError):
    """The message may not be sent again."""

    status = 409
    code = "message_not_to_redrive"


class BudgetSpent(CampaignError):
    """A budget has no room for the message any more."""

    status = 409
    code = "budget_spent"


class CampaignExists(CampaignError):
    """A copy was to be made under an id that is taken."""

    status = 409
    code = "campaign_exists"


class ApprovalNeeded(CampaignError):
    """A second person must approve the content first."""

    status = 409
    code = "approval_needed"


class SecondPersonNeeded(CampaignError):
    """Nobody approves what they wrote."""

    status = 403
    code = "second_person_needed"


class ContentChanged(CampaignError):
    """What was to be approved is not what is there."""

    status = 409
    code = "content_changed"


class AudienceTooSmall(CampaignError):
    """So few are chosen by what they did, or by a list, that they could be told apart."""

    status = 409
    code = "audience_too_small"


class ListNotFound(CampaignError):
    """No list has this name."""

    status = 404
    code = "list_not_found"


class ListInUse(CampaignError):
    """A campaign that may speak asks who is on the list."""

    status = 409
    code = "list_in_use"


class TooManyLists(CampaignError):
    """There are as many lists as are allowed."""

    status = 409
    code = "too_many_lists"


class NotTestRecipient(CampaignError):
    """Tests go to those alone whom the settings name."""

    status = 403
    code = "not_a_test_recipient"


class TooManyTests(CampaignError):
    """Nobody gets tests without end."""

    status = 429
    code = "too_many_tests"


class InvalidCampaign(CampaignError):
    """A campaign breaks a rule; `errors` names every field at fault."""

    status = 422
    code = "invalid_campaign"


class InvalidCursor(CampaignError):
    """A page was asked for with a cursor that this list did not give out."""

    status = 422
    code = "invalid_cursor"

    def __init__(self) -> None:
        said = "leave it out for the first page, or repeat the `next` of the page before unchanged"
        super().__init__(f"cursor: {said}", (FieldError("cursor", said),))


class NotSigned(CampaignError):
    """A provider's callback is not signed with a key of ours."""

    status = 403
    code = "not_signed"

    def __init__(self) -> None:
        super().__init__(
            "the signature is missing or wrong; check the auth token and the public URL in the settings"
        )
