"""What callers send about a campaign's life, as JSON."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from campaigns.form import ID_PATTERN, Line

EXAMPLE_HASH = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"


class ApproveForm(BaseModel):
    """Which content is approved: the `content_hash` of the version that the approver has read."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"content_hash": EXAMPLE_HASH, "comment": "Fine by me"}]},
    )
    content_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    comment: Line | None = None


class RejectForm(BaseModel):
    """What is to be changed."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"comment": "The price is last year's"}]}
    )
    comment: Line


class CloneForm(BaseModel):
    """The id of the copy, and its name; the original's unless given."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"id": "bread-spring", "name": "Bread in spring"}]},
    )
    id: Annotated[str, Field(pattern=ID_PATTERN)]
    name: Line | None = None
