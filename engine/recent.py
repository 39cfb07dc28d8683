"""What was used lately, kept in memory for a while and no longer: two generations, the older of which is dropped."""

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Values by name. What was put is there for at least `kept_seconds` and for at most twice as long, or until there
    is more than `limit`. Time is whatever clock the caller goes by. One thread uses it.
    """

    def __init__(self, kept_seconds: float, limit: int) -> None:
        self._kept_seconds = kept_seconds
        self._limit = limit
        self._young: dict[str, T] = {}
        self._old: dict[str, T] = {}
        self._turned_at = float("-inf")

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def among(self, names: Iterable[str], now: float) -> dict[str, T]:
        """The values of those names that are there."""
        self._turn(now)
        young, old = self._young, self._old
        return {
            name: young[name] if name in young else old[name]
            for name in names
            if name in young or name in old
        }

    def just_now(self, names: Iterable[str], now: float) -> list[T] | None:
        """The values of names, in their order, if all of them are there and none is about to go: then there is no need
        to put them again. This is the quick way of `among`.
        """
        self._turn(now)
        try:
            return list(map(self._young.__getitem__, names))
        except KeyError:
            return None

    def put(self, values: Mapping[str, T], now: float) -> None:
        """Keep these from now on."""
        self._turn(now)
        if len(self._young) > self._limit // 2:
            self._old, self._young, self._turned_at = self._young, {}, now
        self._young.update(values)

    def pop(self, name: str) -> None:
        """Drop one at once; one that is not there may be dropped too."""
        self._young.pop(name, None)
        self._old.pop(name, None)

    def clear(self) -> None:
        """Drop all."""
        self._young, self._old = {}, {}

    def _turn(self, now: float) -> None:
        age = now - self._turned_at
        if age > 2 * self._kept_seconds:  # nobody has been here for long
            self.clear()
            self._turned_at = now
        elif age > self._kept_seconds:
            self._old, self._young = self._young, {}
            self._turned_at += self._kept_seconds
