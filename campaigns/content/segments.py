"""How many SMS a text takes: the GSM 7 bit alphabet or UCS-2, and how it is cut into segments.

Alphabets: 3GPP TS 23.038 (formerly GSM 03.38), clauses 6.2.1 and 6.2.1.1 (default alphabet and its extension table) and
6.2.3 (UCS2); a message holds 140 octets. Joined messages give six of them to the header of 3GPP TS 23.040, clause 9.2.3.24.1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
"""Written as an escape and a second septet, which no cut may part."""


class Encoding(StrEnum):
    """In what a text is sent: septets, or 16-bit units once one character needs them."""

    GSM_7 = "GSM-7"
    UCS_2 = "UCS-2"


ALONE = {Encoding.GSM_7: 160, Encoding.UCS_2: 70}
"""Units that a single message holds."""
JOINED = {Encoding.GSM_7: 153, Encoding.UCS_2: 67}
"""Units that each of several joined messages holds."""


@dataclass(frozen=True, slots=True)
class SmsSize:
    """What a text takes as SMS. `units` are septets or 16-bit units; `segments` is how many messages are paid for."""

    encoding: Encoding
    units: int
    segments: int


def sms_size(text: str) -> SmsSize:
    """The size of a text as SMS. A character of two units is never parted between two segments."""
    if GSM_BASIC.issuperset(text):  # a septet each, as of most texts
        units, room = len(text), JOINED[Encoding.GSM_7]
        return SmsSize(
            Encoding.GSM_7, units, min(units, 1) if units <= ALONE[Encoding.GSM_7] else -(-units // room)
        )
    encoding = Encoding.UCS_2 if any(outside_gsm(text)) else Encoding.GSM_7
    widths = [_width(character, encoding) for character in text]
    units = sum(widths)
    if units <= ALONE[encoding]:
        return SmsSize(encoding, units, 1 if units else 0)
    segments, room = 1, JOINED[encoding]
    for width in widths:
        if width > room:
            segments, room = segments + 1, JOINED[encoding]
        room -= width
    return SmsSize(encoding, units, segments)


def outside_gsm(text: str) -> Iterator[str]:
    """The characters that make a text UCS-2, each once, in order of appearance."""
    return (each for each in dict.fromkeys(text) if each not in GSM_BASIC and each not in GSM_EXTENSION)


def _width(character: str, encoding: Encoding) -> int:
    if encoding is Encoding.GSM_7:
        return 2 if character in GSM_EXTENSION else 1
    return 2 if ord(character) > 0xFFFF else 1  # a surrogate pair
