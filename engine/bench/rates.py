"""What a ping costs from HTTP body to durable event: CPU seconds of all the product's processes, by size of body."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from engine.bench.installation import Served
from engine.bench.sending import send
from engine.bench.work import Feed

WARM_UP_BODY = 1000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many pings in bodies of one size, the CPU seconds they took by process, and the seconds from the first body
    to the last event; `entries` went through the log, `turned_away` bodies were asked to come back.
    """

    pings: int
    cpu_seconds: Mapping[str, float]
    seconds: float
    entries: int
    turned_away: int

    @property
    def per_cpu_second(self) -> float:
        """Pings per CPU second of all processes together."""
        return self.pings / max(sum(self.cpu_seconds.values()), 1e-9)

    @property
    def per_second(self) -> float:
        """Pings per second of this machine, which the sender shares."""
        return self.pings / self.seconds

    def microseconds_per_ping(self) -> dict[str, float]:
        """CPU microseconds of a ping by process."""
        return {name: spent / self.pings * 1e6 for name, spent in self.cpu_seconds.items()}


def warm_up(served: Served, feed: Feed, pings: int, seconds: float = float("inf")) -> None:
    """Let the phones be known, as they are in a day's middle, for so many seconds at the most."""
    _, bodies = feed.take(pings, WARM_UP_BODY)
    send(served, bodies, seconds=seconds)
    served.settle()


def rate(served: Served, feed: Feed, size: int, pings: int, seconds: float = float("inf")) -> Rate:
    """Send so many pings, or what can be sent in so many seconds, and wait until the last is committed."""
    rows, bodies = feed.take(pings, size)
    before, entries, began = served.cpu_seconds(), _entries(served), time.monotonic()
    sent = send(served, bodies, seconds=seconds)
    served.settle()
    took, after = time.monotonic() - began, served.cpu_seconds()
    return Rate(
        pings=min(sent.bodies * size, len(rows)),
        cpu_seconds={name: after[name] - before[name] for name in after},
        seconds=took,
        entries=_entries(served) - entries,
        turned_away=sent.turned_away,
    )


def table_of(found: Mapping[int, Rate]) -> dict[str, dict[str, object]]:
    """The figures as they are written to a file, keyed by pings a body."""
    return {
        str(size): {
            "pings": each.pings,
            "pings_per_cpu_second": round(each.per_cpu_second),
            "pings_per_second": round(each.per_second),
            "microseconds_per_ping": {
                name: round(value, 2) for name, value in each.microseconds_per_ping().items()
            },
            "pings_per_log_entry": round(each.pings / max(each.entries, 1), 1),
            "turned_away": each.turned_away,
        }
        for size, each in found.items()
    }


def _entries(served: Served) -> int:
    """Log entries that were ever processed."""
    return served.done()
