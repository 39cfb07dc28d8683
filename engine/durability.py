"""What a promise costs: who must hold a write besides the server that answered, before it counts as kept."""

from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError

from engine.round_trip import raised


class NotDurable(RedisError):
    """Written, but not held by as many replicas as are asked for: a failover now may lose it."""


@dataclass(frozen=True, slots=True)
class Durability:
    """So many replicas hold a write, in memory or on disk; on disk means the server's own disk too."""

    replicas: int = 0
    disk: bool = False
    timeout_seconds: float = 1.0

    def command(self) -> tuple[Any, ...]:
        """What is sent after the writes, on their connection; it waits."""
        timeout_ms = int(self.timeout_seconds * 1000)
        if self.disk:
            return ("WAITAOF", 1, self.replicas, timeout_ms)
        return ("WAIT", self.replicas, timeout_ms)

    def judged(self, answers: list[Any], held: Any) -> list[Any]:
        """The answers to the writes, if what the server answered to our command says that they are held; else, in
        place of each, what is wrong.
        """
        refusal = self._refusal(held)
        return [refusal if refusal and not isinstance(each, RedisError) else each for each in answers]

    def _refusal(self, answer: Any) -> RedisError | None:
        if isinstance(answer, RedisError):
            return answer
        replicas = answer[1] if self.disk else answer
        if replicas >= self.replicas and (not self.disk or answer[0] >= 1):
            return None
        return NotDurable(f"held by {replicas} replicas of {self.replicas}")


class DurablePipeline(Pipeline):
    """A pipeline to one server that counts only when its writes are held as asked for."""

    def __init__(self, client: Redis, durability: Durability) -> None:
        super().__init__(
            client.connection_pool, client.response_callbacks, transaction=False, shard_hint=None
        )
        self._durability = durability

    def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002  # redis-py's signature
        """Send what was collected. Answers one answer, or error, per command."""
        if not self.command_stack:
            return []
        self.command_stack.append((self._durability.command(), {}))
        *answers, held = super().execute(raise_on_error)
        answers = self._durability.judged(answers, held)
        if raise_on_error:
            raised(answers)
        return answers
