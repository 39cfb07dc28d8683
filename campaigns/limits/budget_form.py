"""The JSON form of a campaign's budget."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from campaigns.limits.budget import NO_BUDGET, Budget, budget_from_json
from campaigns.limits.money import MONEY_PATTERN

MAX_BUDGET_MESSAGES = 1_000_000_000

Count = Annotated[int, Field(ge=1, le=MAX_BUDGET_MESSAGES)]
Money = Annotated[str, StringConstraints(pattern=MONEY_PATTERN)]


class BudgetForm(BaseModel):
    """How many messages may go, and what they may cost (decimal text in the account's currency), in all and on a day of
    the account's time zone. A message counts from its decision on, and no more once it never went.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    messages: Count | None = None
    messages_per_day: Count | None = None
    spend: Money | None = None
    spend_per_day: Money | None = None


def budget_of(form: BudgetForm | None) -> Budget:
    """The budget that a form describes."""
    return budget_from_json(form.model_dump()) if form else NO_BUDGET
