"""Whether a text may go to a number at all, and what it uses up of what its line allows."""

from campaigns.content.segments import sms_size
from campaigns.gates import Reason
from consent.entry import Channel
from consent.phone import country_of, takes_texts
from engine.lines import Lines, Short


def may_go(lines: Lines, countries: frozenset[str] | None, phone: str, text: str) -> Reason | None:
    """`OK`, and the text is counted; or why it never may go; None where today's money is used up. `countries` are those
    whose numbers get texts, None all.
    """
    reason = Reason.OK
    if countries is not None and country_of(phone) not in countries:
        reason = Reason.COUNTRY_NOT_ALLOWED
    elif countries is not None and not takes_texts(phone):
        reason = Reason.NOT_A_MOBILE
    else:
        match lines.spend(Channel.SMS, phone, sms_size(text).segments):
            case Short.SPEND:
                return None
            case Short.PREFIX:
                reason = Reason.PREFIX_VELOCITY
    if reason is not Reason.OK:
        lines.count(Channel.SMS, reason)
    return reason


def give_back(lines: Lines, phone: str, text: str) -> None:
    """A text that was counted surely did not go."""
    lines.unspend(Channel.SMS, phone, sms_size(text).segments)
