"""The members of one JSON object, read by name: each is checked, and what is wrong is told with its field."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from geofences.errors import FieldError


class Members:
    """Reads members; faults go to `errors`, their fields after `prefix`. A null is as absent. White space in texts
    becomes one space.
    """

    prefix: ClassVar[str] = ""

    def __init__(self, given: Mapping[str, Any], errors: list[FieldError]) -> None:
        self.given = given
        self.errors = errors
        self._read: set[str] = set()

    def take(self, name: str) -> Any:
        """The member as it is."""
        self._read.add(name)
        return self.given.get(name)

    def unread(self) -> Sequence[str]:
        """The names that nobody asked for."""
        return [name for name in self.given if name not in self._read]

    def line(self, name: str, limit_chars: int) -> str | None:
        """A text of one line; None when it is absent, empty or refused."""
        value = self.take(name)
        return None if value is None else self.checked(name, value, limit_chars)

    def checked(self, name: str, value: object, limit_chars: int) -> str | None:
        """The value as a text of one line; None when it is empty or refused."""
        text = " ".join(value.split()) if isinstance(value, str) else None
        if text is None or len(text) > limit_chars:
            self.refuse(name, f"must be a text of at most {limit_chars} characters")
        elif any(unicodedata.category(each) in {"Cc", "Cs"} for each in text):
            self.refuse(name, "holds a control character or half a surrogate pair")
        else:
            return text or None
        return None

    def number(self, name: str, limits: tuple[float, float]) -> float | None:
        """A number within limits, both included; None when it is absent or refused."""
        value = self.take(name)
        if value is None:
            return None
        least, most = limits
        if type(value) not in {int, float} or not least <= value <= most:
            self.refuse(name, f"must be a number, {least:g} to {most:g}")
            return None
        return float(value)

    def whole(self, name: str, limits: tuple[int, int]) -> int | None:
        """A whole number within limits, both included; None when it is absent or refused."""
        least, most = limits
        value = self.take(name)
        if value is None:
            return None
        if type(value) not in {int, float} or not least <= value <= most or value != int(value):
            self.refuse(name, f"must be a whole number, {least} to {most}")
            return None
        return int(value)

    def refuse(self, name: str, detail: str) -> None:
        """Tell a fault of the member."""
        self.errors.append(FieldError(f"{self.prefix}{name}", detail))
