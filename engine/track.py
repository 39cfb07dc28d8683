"""One phone's signals in order of time, though they arrive as they like.

A track holds what is believed now, and enough of the recent past to do it over: beliefs from before the lateness
bound, and the signals since. A signal that comes late is put where it belongs and the past is gone through again;
what turns out different from what was said is amended or taken back. So the same signals, in whatever order they
arrive within the bound, end in the same events.
"""

from bisect import bisect
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from engine.beliefs import NOTHING, Beliefs, DetectionPolicy, Find, Happening, Sign, step
from engine.tail import Tail
from geofences.event import EventKind, Revision
from geofences.presence import dwell_by_clock

TAIL_LIMIT = 400
"""Signals kept for going through again; more within the lateness bound and the oldest are settled early."""
AMENDED_SECONDS = 1.0
"""An estimate that moves by less is not worth telling."""
SKEW_BEHIND_SECONDS = 20.0
SKEW_AHEAD_SECONDS = 5.0
SKEW_MOST_SECONDS = 180.0
"""News that is older was kept by the phone, and says nothing of its clock."""
SKEW_AFTER_SIGNALS = 5
"""A clock is judged by the quickest of so many signals: transport only ever adds."""
SKEW_STEADY_SECONDS = 1.0
"""One that is quicker by more begins the count anew: a phone that was offline sends news that is ever fresher."""


class UnreadableTrack(ValueError):
    """Bytes that are no track, or one of a newer version; tells the kind of error alone."""


class Said(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event that was told, and by which signal's time it may still change."""

    kind: EventKind
    geofence: str
    at: float
    cause_at: float
    """The time of the signal that first brought it about; with kind and geofence it gives the event's id."""
    settled_at: float
    """The time of the signal that brings it about as far as is known now."""
    by_clock: bool = False
    """Told by the timer, and not yet borne out by a signal."""
    about: str = ""
    """What else tells it from others of its kind there, as `Happening.about`."""


class Telling(NamedTuple):
    """An event to be told, told anew, or taken back. Times in unix seconds of the phone's clock."""

    revision: Revision
    cause_at: float
    happening: Happening


_packer = msgspec.msgpack.Encoder()


class Track(msgspec.Struct, frozen=True, gc=False):
    """One phone. `base` are beliefs before all of `tail`, `tip` beliefs after it. `lag_seconds` is the least time
    from a signal's clock to its reception.
    """

    base: Beliefs = NOTHING
    tail: Tail = Tail()
    tip: Beliefs = NOTHING
    said: tuple[Said, ...] = ()
    lag_seconds: float = float("inf")
    signals: int = 0
    """So many since one was clearly quicker than all before it."""
    base_packed: bytes = _packer.encode(NOTHING)
    """`base` as the live store keeps it: it stays for many signals."""

    @property
    def lateness_seconds(self) -> float:
        """How far our clock is ahead of the phone's news, as far as is known: a timer waits for so much longer."""
        tolerated = -SKEW_AHEAD_SECONDS <= self.lag_seconds <= SKEW_BEHIND_SECONDS
        return 0.0 if tolerated or not self.signals else self.lag_seconds

    @property
    def skew_seconds(self) -> float:
        """What to add to the phone's clock to have ours; 0 unless it is clearly off."""
        if self.lag_seconds < -SKEW_AHEAD_SECONDS:
            return self.lag_seconds
        behind = SKEW_BEHIND_SECONDS < self.lag_seconds <= SKEW_MOST_SECONDS
        if behind and self.signals >= SKEW_AFTER_SIGNALS:
            return self.lag_seconds
        return 0.0


class _Stored(msgspec.Struct, array_like=True, gc=False):
    """A track as the live store keeps it."""

    base: msgspec.Raw
    tail: msgspec.Raw
    tip: Beliefs
    said: tuple[Said, ...]
    lag_seconds: float
    signals: int


_beliefs_reader = msgspec.msgpack.Decoder(Beliefs)
_stored_reader = msgspec.msgpack.Decoder(_Stored)


def encode_track(each: Track) -> bytes:
    """A phone's track as the live store keeps it."""
    base, tail = msgspec.Raw(each.base_packed), each.tail.encoded()
    return _packer.encode(_Stored(base, tail, each.tip, each.said, each.lag_seconds, each.signals))


def decode_track(data: bytes) -> Track:
    """The track that `encode_track` wrote. Raises `UnreadableTrack` for what it did not."""
    try:
        return _decoded(data)
    except Exception as error:  # noqa: BLE001  # whatever is wrong with its bytes; the error itself may quote a place
        raise UnreadableTrack(type(error).__name__) from None


def _decoded(data: bytes) -> Track:
    stored = _stored_reader.decode(data)
    base, tail = _beliefs_reader.decode(stored.base), Tail.decoded(stored.tail)
    return Track(
        base, tail, stored.tip, stored.said, stored.lag_seconds, stored.signals, _packer.encode(base)
    )


def take(
    was: Track, sign: Sign, received_at: float, find: Find, policy: DetectionPolicy
) -> tuple[Track, list[Telling]] | None:
    """Take one signal. None when it is a duplicate, or later than the lateness bound allows."""
    lag = received_at - sign.at
    lag = min(lag, was.lag_seconds)
    signals = was.signals + 1 if was.lag_seconds - lag <= SKEW_STEADY_SECONDS else 1
    if sign.order > was.tip.order:
        tip, happened = step(was.tip, sign, find, policy)
        said, tellings = _tell(was.said, happened, sign.at) if happened else (was.said, [])
        now = Track(was.base, was.tail.longer(sign, tip), tip, said, lag, signals, was.base_packed)
        return _settle(now, find, policy), tellings
    if sign.order <= was.base.order:
        return None
    signs = was.tail.signs
    place = bisect(signs, sign.order, key=lambda each: each.order)
    if place and signs[place - 1].order == sign.order:
        return None
    known, beliefs = was.tail.last_kept(place) or (0, was.base)
    again = [*signs[known:place], sign, *signs[place:]]
    redone, happenings = _go_through(beliefs, again, find, policy)
    tip = redone[-1][1]
    open_ = tuple(each for each in was.said if each.by_clock or each.settled_at >= again[0].at)
    closed = tuple(each for each in was.said if each not in open_)
    said, tellings = _reconcile(open_, happenings, tip)
    tail = was.tail.redone(known, redone)
    now = Track(was.base, tail, tip, (*closed, *said), lag, signals, was.base_packed)
    return now if tail.count < TAIL_LIMIT else _settle(now, find, policy), tellings


def _go_through(
    beliefs: Beliefs, signs: Sequence[Sign], find: Find, policy: DetectionPolicy
) -> tuple[list[tuple[Sign, Beliefs]], list[tuple[float, Happening]]]:
    taken: list[tuple[Sign, Beliefs]] = []
    happenings: list[tuple[float, Happening]] = []
    for sign in signs:
        beliefs, happened = step(beliefs, sign, find, policy)
        taken.append((sign, beliefs))
        happenings += [(sign.at, each) for each in happened]
    return taken, happenings


def _settle(now: Track, find: Find, policy: DetectionPolicy) -> Track:
    """Let go of signals older than the bound, some at a time."""
    newest, oldest = now.tip.at, now.tail.blocks[0].signs[0].at
    if newest - oldest < 2 * policy.lateness_seconds and now.tail.count < TAIL_LIMIT:
        return now
    settled, too_many = newest - policy.lateness_seconds, now.tail.count - TAIL_LIMIT // 2
    kept, base = now.tail.last_kept(too_many, settled) or (0, now.base)
    if not kept:
        signs = now.tail.signs
        kept = max(bisect(signs, settled, key=lambda each: each.at), too_many)
        redone, _ = _go_through(base, signs[:kept], find, policy)
        base = redone[-1][1]
    said = tuple([each for each in now.said if each.by_clock or each.settled_at > base.at])
    tail = now.tail.without(kept)
    return Track(base, tail, now.tip, said, now.lag_seconds, now.signals, _packer.encode(base))


def is_over(track: Track, policy: DetectionPolicy) -> bool:
    """Whether a phone that is near nothing need not be followed any longer: nothing is believed of any place, and for
    as long as the lateness bound it has been near none.
    """
    tip = track.tip
    if tip.presences or tip.jam.claimed or any(tip.nearby.values()):
        return False
    blocks = track.tail.blocks
    if blocks and tip.at - blocks[0].signs[0].at < policy.lateness_seconds:
        return False
    for block in blocks:
        for sign in block.signs:
            if sign.near or sign.beacon or sign.crossed or sign.ahead:
                return False
    return True


def due_at(track: Track, find: Find) -> float | None:
    """When by our clock the next dwell is due if the phone stays silent."""
    if not track.tip.presences:
        return None
    dues = [
        each.since + geofence.dwell_seconds
        for geofence_id, each in track.tip.presences.items()
        if each.inside and not each.dwelled and (geofence := find(geofence_id)) is not None
        if not _by_clock(track.said, geofence_id)
    ]
    return min(dues) + track.lateness_seconds if dues else None


def tick(was: Track, now: float, find: Find, policy: DetectionPolicy) -> tuple[Track, list[Telling]]:
    """Say the dwells that are due by the clock although the phone is silent. `now` is our clock's."""
    said: list[Said] = []
    tellings: list[Telling] = []
    for geofence_id, each in was.tip.presences.items():
        if not each.inside or each.dwelled or (geofence := find(geofence_id)) is None:
            continue
        if _by_clock(was.said, geofence_id):
            continue
        at = now - was.lateness_seconds
        due = dwell_by_clock(each, at, geofence.dwell_seconds, policy.presence)
        if due is not None:
            silent = {"log_odds": round(each.log_odds, 2), "silent_seconds": round(at - each.seen_at, 1)}
            happening = Happening(EventKind.DWELL, geofence_id, *due, silent)
            first_at = _cause(was.said, happening, due[0])
            said.append(Said(EventKind.DWELL, geofence_id, due[0], first_at, was.tip.at, by_clock=True))
            tellings.append(Telling(Revision.SAID, first_at, happening))
    return msgspec.structs.replace(was, said=(*was.said, *said)) if said else was, tellings


def _by_clock(said: Sequence[Said], geofence: str) -> Said | None:
    for each in said:
        if each.by_clock and each.geofence == geofence:
            return each
    return None


def _tell(
    said: tuple[Said, ...], happened: Sequence[Happening], cause_at: float
) -> tuple[tuple[Said, ...], list[Telling]]:
    """What a newest signal brought about: told, unless the clock told it before; a visit that ends without the dwell
    that the clock told takes that back.
    """
    tellings: list[Telling] = []
    for each in happened:
        ticked = _by_clock(said, each.geofence) if each.kind in (EventKind.DWELL, EventKind.EXIT) else None
        if ticked is not None:
            said = tuple(one for one in said if one is not ticked)
            if each.kind is EventKind.DWELL:
                said = (*said, _said(each, each.at, ticked.cause_at, cause_at))
                if abs(each.at - ticked.at) > AMENDED_SECONDS:
                    tellings.append(Telling(Revision.AMENDED, ticked.cause_at, each))
                continue
            tellings.append(_taken_back(ticked))
        first_at = _cause(said, each, cause_at)
        said = (*said, _said(each, each.at, first_at, cause_at))
        tellings.append(Telling(Revision.SAID, first_at, each))
    return said, tellings


def _reconcile(
    said: tuple[Said, ...], happenings: Sequence[tuple[float, Happening]], tip: Beliefs
) -> tuple[tuple[Said, ...], list[Telling]]:
    """Compare what was told with what should have been; what was told first by the same signal, else what is nearest
    in time, is the same event.
    """
    matched = _match(said, happenings)
    left = [one for one in said if all(one is not told for told in matched.values())]
    kept: list[Said] = list(matched.values())
    tellings: list[Telling] = []
    now_said: list[Said] = []
    for number, (cause_at, each) in enumerate(happenings):
        told = matched.get(number)
        first_at = told.cause_at if told else _cause(kept, each, cause_at)
        one = _said(each, each.at, first_at, cause_at)
        if told is None:
            kept.append(one)
            tellings.append(Telling(Revision.SAID, first_at, each))
        elif abs(told.at - each.at) > AMENDED_SECONDS:
            tellings.append(Telling(Revision.AMENDED, first_at, each))
        else:
            one = _said(each, told.at, first_at, cause_at)
        now_said.append(one)
    for told in left:
        believed = tip.presences.get(told.geofence)
        if told.by_clock and believed is not None and believed.inside and not believed.dwelled:
            now_said.append(told)
        else:
            tellings.insert(0, _taken_back(told))
    return tuple(now_said), tellings


def _match(said: Sequence[Said], happenings: Sequence[tuple[float, Happening]]) -> dict[int, Said]:
    """Which of the happenings, by number, was told as which event."""
    left = list(said)
    matched: dict[int, Said] = {}
    for by_same_signal in (True, False):
        for number, (cause_at, each) in enumerate(happenings):
            if number in matched:
                continue
            what = (each.kind, each.geofence, each.about)
            alike = [one for one in left if (one.kind, one.geofence, one.about) == what]
            if by_same_signal:
                alike = [one for one in alike if one.settled_at == cause_at]
            if alike:
                nearest = min(alike, key=lambda one: abs(one.at - each.at))
                left.remove(nearest)
                matched[number] = nearest
    return matched


def _cause(said: Sequence[Said], happening: Happening, cause_at: float) -> float:
    """The cause to name an event by: no two of a kind at a geofence have the same."""
    if happening.kind is EventKind.DWELL:
        cause_at = happening.at  # the same whether the clock told it or a signal
    taken = {one.cause_at for one in said if (one.kind, one.geofence) == (happening.kind, happening.geofence)}
    while cause_at in taken:
        cause_at += 0.001
    return cause_at


def _said(each: Happening, at: float, first_at: float, cause_at: float) -> Said:
    return Said(each.kind, each.geofence, at, first_at, cause_at, about=each.about)


def _taken_back(told: Said) -> Telling:
    return Telling(Revision.RETRACTED, told.cause_at, Happening(told.kind, told.geofence, told.at, 0.0, {}))
