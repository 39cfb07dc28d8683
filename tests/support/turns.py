"""Actors that take turns: each runs alone from one point to the next, and whose turn it is follows from a seed."""

import threading
from collections.abc import Callable
from random import Random

STEPS = 25
"""About as many as a play takes; changes and crashes fall among them."""

_here = threading.local()


class Crash(BaseException):
    """The end of an actor's process: what it held is let go, and nothing that it would have done is done."""


def point() -> None:
    """A place where another may take over. Outside of actors it is none."""
    actor = getattr(_here, "actor", None)
    if actor is not None:
        actor.wait_for_turn()


class Actor:
    """One of those who take turns, in a thread of its own."""

    def __init__(self, work: Callable[[], None], arrived: threading.Semaphore) -> None:
        self._work = work
        self._arrived = arrived
        self._turn = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run)
        self.done = False
        self.dying = False
        self.error: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def take_turn(self) -> None:
        self._turn.release()

    def join(self) -> None:
        self._thread.join()

    def wait_for_turn(self) -> None:
        if self.dying:
            return  # its clean-up is the kernel's, or the database's, and is not interrupted
        self._arrived.release()
        self._turn.acquire()
        if self.dying:
            raise Crash

    def _run(self) -> None:
        _here.actor = self
        try:
            self.wait_for_turn()
            self._work()
        except Crash:
            pass
        except BaseException as error:  # noqa: BLE001  # told to whoever let them play
            self.error = error
        self.done = True
        self._arrived.release()


def play(works: list[Callable[[], None]], random: Random, *, crashes: bool) -> int:
    """Let them take turns until all are done, or have crashed; how many crashed.

    Either anybody may be next, or whoever has the highest priority, which becomes the lowest at a few random steps
    (Burckhardt et al., A randomized scheduler with probabilistic guarantees of finding bugs, 2010). One may crash at a
    random step.
    """
    arrived = threading.Semaphore(0)
    actors = [Actor(work, arrived) for work in works]
    for actor in actors:
        actor.start()
        arrived.acquire()
    ranked = random.sample(actors, len(actors))
    shuffled = random.random() < 0.5
    changes = {random.randrange(STEPS) for _ in range(random.randrange(6))}
    crash = random.randrange(STEPS) if crashes else -1
    step = crashed = 0
    while waiting := [actor for actor in ranked if not actor.done]:
        actor = random.choice(waiting) if shuffled else waiting[0]
        if step in changes and not shuffled:
            ranked.remove(actor)
            ranked.append(actor)
            actor = waiting[-1]
        if step == crash:
            actor.dying = True
            crashed += 1
        actor.take_turn()
        arrived.acquire()
        step += 1
    for actor in actors:
        actor.join()
        if actor.error is not None:
            raise actor.error
    return crashed
