"""The notifications on pretend phones: a newer one with the same tag takes the place of an older one."""

import threading
from dataclasses import dataclass, field

NOTIFICATIONS_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Notification:
    """One that is shown: by which service, at which address, in the words that the app was given."""

    service: str
    address: str
    title: str
    body: str = field(repr=False)
    tag: str
    silent: bool
    valid_seconds: int


class Notifications:
    """All pretend phones. `received` counts what came in, replaced ones too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: dict[tuple[str, str, str], Notification] = {}
        self.received = 0

    def show(self, notification: Notification) -> None:
        """Show it, on top."""
        with self._lock:
            self.received += 1
            place = notification.service, notification.address, notification.tag
            self._shown.pop(place, None)
            self._shown[place] = notification
            if len(self._shown) > NOTIFICATIONS_LIMIT:
                del self._shown[next(iter(self._shown))]

    def shown(self) -> list[Notification]:
        """Those that are shown now, oldest first."""
        with self._lock:
            return list(self._shown.values())

    def forget(self) -> None:
        """Clear every phone."""
        with self._lock:
            self._shown.clear()
            self.received = 0
