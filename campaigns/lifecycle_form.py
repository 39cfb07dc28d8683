"""What callers send about a campaign's life, as JSON."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from campaigns.form import ID_PATTERN, Line


class CloneForm(BaseModel):
    """The id of the copy, and its name; the original's unless given."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"id": "bread-spring", "name": "Bread in spring"}]},
    )
    id: Annotated[str, Field(pattern=ID_PATTERN)]
    name: Line | None = None
