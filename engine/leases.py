"""Who works on which partition: leases with a fencing token, shared out evenly among the workers that are alive.

Every commit names its lease and is refused when the lease has passed on, so a worker that was paused and wakes
up late can write nothing.
"""

from engine.live import WORKERS_KEY, Live, fence_key, lease_key


class Leases:
    """One worker's leases. Times are the live store's own; they are about liveness, not about events."""

    def __init__(self, live: Live, owner: str, lease_seconds: float) -> None:
        self._live = live
        self._owner = owner
        self._lease_ms = int(lease_seconds * 1000)
        self._take = live.script("lease")
        self._release = live.script("release")
        self._held: dict[int, str] = {}

    @property
    def held(self) -> dict[int, str]:
        """Partition -> lease, as of the last call to `refresh`."""
        return dict(self._held)

    def refresh(self) -> None:
        """Renew what is held, take what is free up to a fair share, give back what is above it."""
        share = self._fair_share()
        for partition in range(self._live.partitions):
            mine = self._held.get(partition, "")
            if not mine and len(self._held) >= share:
                continue
            lease = self._take(
                keys=[lease_key(partition), fence_key(partition)], args=[self._owner, mine, self._lease_ms]
            ).decode()
            if lease:
                self._held[partition] = lease
            else:
                self._held.pop(partition, None)
        for partition in sorted(self._held)[share:]:
            self.release(partition)

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

    def _fair_share(self) -> int:
        seconds, microseconds = self._live.client.time()
        now_ms = seconds * 1000 + microseconds // 1000
        with self._live.client.pipeline(transaction=False) as pipeline:
            pipeline.zadd(WORKERS_KEY, {self._owner: now_ms})
            pipeline.zremrangebyscore(WORKERS_KEY, "-inf", now_ms - self._lease_ms)
            pipeline.zcard(WORKERS_KEY)
            workers = int(pipeline.execute()[-1])
        return -(-self._live.partitions // max(workers, 1))
