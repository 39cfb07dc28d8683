"""Twilio's refusals, in both of the shapes it has, and the numbers that bring them about."""

from collections.abc import Mapping

from engine.provider.exchange import Answer, as_json

REFUSED_TO: Mapping[str, int] = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}
REFUSED_FROM: Mapping[str, int] = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}
"""Twilio's own magic numbers. Source: twilio.com/docs/iam/test-credentials."""

MESSAGES: Mapping[int, str] = {
    20003: "Authenticate",
    20009: "Cannot delete message because delivery is in progress, please try again later.",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    20500: "An internal server error has occurred",
    21211: "Invalid 'To' Phone Number",
    21212: "Invalid 'From' Number",
    21408: "Permission to send an SMS has not been enabled for the region indicated by the 'To' number",
    21602: "A text message body or media urls must be specified.",
    21603: "A 'From' phone number is required.",
    21604: "A 'To' phone number is required.",
    21606: "The 'From' phone number is not a valid, SMS-capable inbound phone number or short code.",
    21610: "Attempt to send to unsubscribed recipient",
    21611: "This 'From' number has exceeded the maximum number of queued messages",
    21612: "Message cannot be sent with the current combination of 'To' and/or 'From' parameters",
    21614: "'To' number is not a valid mobile number",
    21617: "The concatenated message body exceeds the 1600 character limit",
    21635: "'To' number cannot be a landline",
}
"""The words of twilio.com/docs/api/errors, by code."""


def refusal(status: int, code: int, *, problem_json: bool = False, of: str = "") -> Answer:
    """An error answer. `of` is the number at fault, which Twilio repeats; `problem_json` takes the newer shape."""
    told = MESSAGES.get(code, "The request was refused") + (f": {of}" if of else "")
    more = f"https://www.twilio.com/docs/errors/{code}"
    if problem_json:
        return as_json(
            status, {"type": more, "title": "Refused", "status": status, "code": code, "detail": told}
        )
    return as_json(status, {"code": code, "message": told, "more_info": more, "status": status})
