"""Who works on which partition: leases with a fencing token, shared out evenly among the workers that are alive.

Every commit names its lease and is refused when the lease has passed on, so a worker that was paused and wakes
up late can write nothing.
"""

import logging
import threading
from collections.abc import Iterable, Sequence

from redis.exceptions import RedisError

from engine.live import WORKERS_KEY, Live, fence_key, lease_key
from engine.round_trip import raised

logger = logging.getLogger(__name__)


class Leases:
    """One worker's leases. Times are the live store's own; they are about liveness, not about events."""

    def __init__(self, live: Live, owner: str, lease_seconds: float) -> None:
        self._live = live
        self._owner = owner
        self._lease_ms = int(lease_seconds * 1000)
        self._sign_in = live.script("workers")
        self._take = live.batched("lease")
        self._renew = live.batched("renew")
        self._release = live.script("release")
        self._held: dict[int, str] = {}

    @property
    def held(self) -> dict[int, str]:
        """Partition -> lease, as of the last call to `refresh`."""
        return dict(self._held)

    def refresh(self) -> None:
        """Renew what is held, take what is free up to a fair share, give back what is above it."""
        share = self._fair_share()
        self._ask(sorted(self._held))
        others = [partition for partition in range(self._live.partitions) if partition not in self._held]
        while others and (wanted := share - len(self._held)) > 0:
            self._ask(others[:wanted])
            others = others[wanted:]
        for partition in sorted(self._held)[share:]:
            self.release(partition)

    def keep(self, stop: threading.Event, every_seconds: float) -> None:
        """Renew what is held until told to stop, from a thread of its own, however long the worker's batch takes. What
        is lost stays lost: the worker finds out.
        """
        while not stop.wait(every_seconds):
            try:
                self.renew()
            except RedisError as error:
                logger.warning("leases: the live store did not answer (%s)", type(error).__name__)

    def renew(self) -> None:
        """Renew what is held, and take nothing."""
        self._sign_in(keys=[WORKERS_KEY], args=[self._owner, self._lease_ms])
        raised(
            self._renew([((lease_key(each),), (lease, self._lease_ms)) for each, lease in self.held.items()])
        )

    def ours(self, partitions: Iterable[int]) -> set[int]:
        """Those of some partitions on which the lease is still ours, as the live store says now."""
        held = [each for each in partitions if each in self._held]
        found = raised(self._live.ask([("GET", lease_key(each)) for each in held])) if held else ()
        return {
            partition
            for partition, lease in zip(held, found, strict=True)
            if lease == self._held.get(partition, "").encode()
        }

    def lost(self, partition: int) -> None:
        """A commit was refused: someone else owns the partition now."""
        self._held.pop(partition, None)

    def release(self, partition: int) -> None:
        """Give a partition back at once, so that nobody waits for the lease to run out."""
        lease = self._held.pop(partition, None)
        if lease:
            self._release(keys=[lease_key(partition)], args=[lease])

    def release_all(self) -> None:
        """Give everything back and leave the table of workers."""
        for partition in list(self._held):
            self.release(partition)
        self._live.client.zrem(WORKERS_KEY, self._owner)

    def _ask(self, partitions: Sequence[int]) -> None:
        """Renew the leases on partitions, or take them; what is refused is not held."""
        answers = self._take(
            [
                (
                    (lease_key(partition), fence_key(partition)),
                    (self._owner, self._held.get(partition, ""), self._lease_ms),
                )
                for partition in partitions
            ]
        )
        for partition, answer in zip(partitions, raised(answers), strict=True):
            if answer:
                self._held[partition] = answer.decode()
            else:
                self._held.pop(partition, None)

    def _fair_share(self) -> int:
        """How many partitions are ours to hold: as many as anyone's; what is left over goes one each to the first."""
        workers = sorted(self._sign_in(keys=[WORKERS_KEY], args=[self._owner, self._lease_ms]))
        share, over = divmod(self._live.partitions, len(workers))
        return share + (workers.index(self._owner.encode()) < over)
