"""What is private in a text that a product wrote: found by its look, or because it went in during the same run."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SHORTEST_TOKEN_CHARS = 12
SHORTEST_TEXT_CHARS = 12
CERTAIN_DECIMALS = 9
"""A number that equals one that went in, to so many decimals, is no coincidence."""
PAIR_DECIMALS = 3
PAIR_WITHIN_CHARS = 40

_E164 = re.compile(r"(?<![\w.+-])\+[1-9][0-9]{7,14}(?![0-9])")
_DIGITS = re.compile(r"(?<![0-9])[0-9](?:[ .()/-]?[0-9]){7,14}(?![0-9])")
_DECIMAL = re.compile(rf"(?<![\w.])-?[0-9]{{1,3}}\.[0-9]{{{PAIR_DECIMALS},}}(?![\w.])")
_NAMED = re.compile(
    r"""(?i)\b(?:lat|lon|lng|latitude|longitude)["']?\s*[:=]\s*["']?-?[0-9]{1,3}\.[0-9]{2,}"""
)
_POINT = re.compile(r"(?i)\bPOINT ?\(-?[0-9.]+ -?[0-9.]+\)")


class Kind(StrEnum):
    """What must not be in logs, metrics, traces, error bodies and the output of processes."""

    PHONE = "phone number"
    TOKEN = "token"  # a kind, no secret
    COORDINATE = "coordinate"
    TEXT = "message text"


@dataclass(slots=True)
class Private:
    """What went in during a run. `texts` are those of the test that runs; the others stay."""

    phones: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    positions: set[tuple[str, str]] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)

    def learn_phone(self, phone: object) -> None:
        """A number, in the ways in which it may be written again."""
        digits = re.sub(r"\D", "", str(phone))
        if len(digits) >= 8:
            self.phones |= {digits, f"00{digits}"}
            self.phones |= {f"0{digits[2:]}"} if len(digits) >= 11 else set()

    def learn_token(self, token: object) -> None:
        """A key or a push address."""
        if isinstance(token, str) and len(token) >= SHORTEST_TOKEN_CHARS:
            self.tokens.add(token)

    def learn_text(self, text: object) -> None:
        """A message, or a template, of which the parts between the placeholders count."""
        for part in re.split(r"\{[{%].*?[%}]\}", text) if isinstance(text, str) else ():
            if len(part.strip()) >= SHORTEST_TEXT_CHARS:
                self.texts.add(part.strip())

    def learn_position(self, lat: object, lon: object) -> None:
        """Where somebody was, as written and rounded."""
        if isinstance(lat, float) and isinstance(lon, float):
            self.numbers |= {
                written for each in (lat, lon) if _decimals(written := repr(each)) >= CERTAIN_DECIMALS
            }
            self.positions |= {
                (f"{lat:.{places}f}", f"{lon:.{places}f}")
                for places in range(PAIR_DECIMALS, CERTAIN_DECIMALS)
            }

    def learn_json(self, value: Any) -> None:
        """Whatever private a request or an answer holds."""
        if isinstance(value, list):
            for each in value:
                self.learn_json(each)
        if not isinstance(value, dict):
            return
        self.learn_position(value.get("lat"), value.get("lon"))
        for name, each in value.items():
            if name in {"phone", "From", "from_number"}:
                self.learn_phone(each)
            elif name in {"template", "text", "Body"}:
                self.learn_text(each)
            elif name == "push" and isinstance(each, dict):
                for token in each.values():
                    self.learn_token(token)
            else:
                self.learn_json(each)


def kinds_in(text: str, private: Private) -> set[Kind]:
    """The kinds of what is private in a text. Times, versions and measurements are not, whatever they look like."""
    found = set()
    if _E164.search(text) or any(digits in private.phones for digits in _numbers(text)):
        found.add(Kind.PHONE)
    if any(token in text for token in private.tokens):
        found.add(Kind.TOKEN)
    if _NAMED.search(text) or _POINT.search(text) or _positioned(text, private):
        found.add(Kind.COORDINATE)
    if any(said in text for said in private.texts):
        found.add(Kind.TEXT)
    return found


def _numbers(text: str) -> Iterator[str]:
    return (re.sub(r"\D", "", match[0]) for match in _DIGITS.finditer(text))


def _positioned(text: str, private: Private) -> bool:
    """Whether a position stands in the text: one number to the last digit, or latitude and longitude side by side."""
    before: re.Match[str] | None = None
    for match in _DECIMAL.finditer(text):
        if match[0] in private.numbers:
            return True
        if (
            before
            and match.start() - before.end() <= PAIR_WITHIN_CHARS
            and _pairs(before[0], match[0], private)
        ):
            return True
        before = match
    return False


def _pairs(one: str, other: str, private: Private) -> bool:
    places = min(_decimals(one), _decimals(other), CERTAIN_DECIMALS - 1)
    first, second = f"{float(one):.{places}f}", f"{float(other):.{places}f}"
    return not private.positions.isdisjoint({(first, second), (second, first)})


def _decimals(written: str) -> int:
    return len(written.partition(".")[2])


def known(phones: Iterable[str] = (), texts: Iterable[str] = ()) -> Private:
    """What is private to begin with."""
    private = Private()
    for phone in phones:
        private.learn_phone(phone)
    for text in texts:
        private.learn_text(text)
    return private
