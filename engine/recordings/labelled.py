"""Recordings whose truth is known: how well detection did, and what each part of it is worth.

A truth file holds JSON lines. ``{"cls":"event","kind","device","place","at",...}`` is something that happened;
``stuck`` and ``unstuck`` also carry ``places`` (any is right), ``since`` and ``until``, a ``dwell`` its ``until``;
``observable`` false means that the phone sent too little to notice. ``{"cls":"ignore","kinds","device","place",
"start","end"}`` is a time in which the truth itself is undecided.
"""

import gzip
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal
from zlib import crc32

import msgspec

from engine.beliefs import STANDARD, DetectionPolicy
from engine.recordings.recorded import Unreadable
from engine.recordings.replay import Recording, Replay, batches, open_world, signals
from engine.traffic.drive import features
from engine.traffic.fit import LEAST_SLOW_SECONDS, Example
from geofences.event import EventKind, PlaceEvent, Revision

KINDS = (EventKind.ENTER, EventKind.DWELL, EventKind.EXIT, EventKind.STUCK, EventKind.UNSTUCK)
TOLERANCE_SECONDS = 120.0
JAM_TOLERANCE_SECONDS = 180.0
NEAR_KINDS = (EventKind.NEARBY, EventKind.CROSS)
JAM_KINDS = (EventKind.STUCK, EventKind.UNSTUCK)
APPROACH_SECONDS = 360.0
"""An approach is right so long before the arrival: the bound for one that drives, and a minute."""
NEAR_SECONDS = 60.0
"""A `nearby` or `cross` is right so long before and after the time inside."""


class Happened(msgspec.Struct, tag_field="cls", tag="event", gc=False):
    """Something that happened."""

    kind: EventKind
    device: str
    place: str
    at: float
    places: tuple[str, ...] = ()
    since: float = 0.0
    until: float = 0.0
    observable: bool = True

    @property
    def window(self) -> tuple[float, float]:
        """When an event that says so is right: a jam may be told while it lasts, a dwell until the visit ends, an
        approach until the arrival.
        """
        if self.kind is EventKind.STUCK:
            return self.since + 30, max(self.at + JAM_TOLERANCE_SECONDS, self.until)
        if self.kind is EventKind.APPROACH:
            return self.at - APPROACH_SECONDS, self.at
        if self.kind in NEAR_KINDS:
            return self.at - NEAR_SECONDS, self.until + NEAR_SECONDS
        slack = JAM_TOLERANCE_SECONDS if self.kind is EventKind.UNSTUCK else TOLERANCE_SECONDS
        last = self.at + slack
        return self.at - slack, max(last, self.until) if self.kind is EventKind.DWELL else last


class Undecided(msgspec.Struct, tag_field="cls", tag="ignore", gc=False):
    """A time in which the truth is not known."""

    kinds: tuple[EventKind, ...]
    device: str
    place: str
    start: float
    end: float


Truth = Sequence[Happened | Undecided]


@dataclass(frozen=True, slots=True)
class Score:
    """How well one kind of event was told. Latency is the median from the truth to the telling, in seconds."""

    right: int
    wrong: int
    missed: int
    latency_seconds: float | None

    @property
    def precision(self) -> float:
        """Of what was told, so much was right."""
        return self.right / (self.right + self.wrong) if self.right else 0.0

    @property
    def recall(self) -> float:
        """Of what should have been told, so much was."""
        return self.right / (self.right + self.missed) if self.right else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall (van Rijsbergen, 1979)."""
        told = 2 * self.right + self.wrong + self.missed
        return 2 * self.right / told if told else 0.0


def read_truth(path: Path) -> Truth:
    """The truth of a recording. Raises `Unreadable`."""
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Happened | Undecided)
    opener: Any = gzip.open if path.suffix == ".gz" else open
    told = []
    with opener(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                told.append(decoder.decode(line))
            except msgspec.MsgspecError as error:
                raise Unreadable(f"{path}, line {number}: {error}") from None
    return told


def score(
    truth: Truth, events: Iterable[PlaceEvent], kinds: Sequence[EventKind] = KINDS
) -> Mapping[EventKind, Score]:
    """Match each event with a truth of its kind, phone and place, one to one, the nearest in time first."""
    told = [event for event in events if event.revision is Revision.SAID]
    return {kind: _score(kind, truth, [event for event in told if event.kind is kind]) for kind in kinds}


def _score(kind: EventKind, truth: Truth, told: Sequence[PlaceEvent]) -> Score:
    happened = [each for each in truth if isinstance(each, Happened) and each.kind is kind]
    undecided: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    slack = JAM_TOLERANCE_SECONDS if kind in JAM_KINDS else TOLERANCE_SECONDS if kind in KINDS else 0.0
    for each in truth:
        if isinstance(each, Undecided) and kind in each.kinds:
            undecided[each.device, each.place].append((each.start - slack, each.end + slack))
    by_place: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, one in enumerate(happened):
        for where in one.places or (one.place,):
            by_place[one.device, where].append(number)
    pairs = sorted(
        (abs(at - happened[number].at), place, number)
        for place, event in enumerate(told)
        for number in by_place[event.device, event.geofence]
        for at in [event.at.timestamp()]
        if happened[number].window[0] <= at <= happened[number].window[1]
    )
    matched: dict[int, int] = {}
    for _, place, number in pairs:
        if number not in matched and place not in matched.values():
            matched[number] = place
    used = set(matched.values())
    wrong = sum(
        not any(
            start <= event.at.timestamp() <= end for start, end in undecided[event.device, event.geofence]
        )
        for place, event in enumerate(told)
        if place not in used
    )
    missed = sum(each.observable and number not in matched for number, each in enumerate(happened))
    late = [told[place].emitted.timestamp() - happened[number].at for number, place in matched.items()]
    return Score(len(matched), wrong, missed, median(late) if late else None)


Part = Literal["all", "no accuracy", "no hysteresis", "no reordering", "no beacons", "no crowd", "no roads"]


def without() -> Mapping[Part, DetectionPolicy]:
    """Detection whole, and with one part of it switched off."""
    presence = STANDARD.presence
    flat = replace(
        presence, enter_log_odds=0.0, exit_log_odds=0.0, unrest_log_odds=0.0, leaving_accuracies=0.0
    )
    return {
        "all": STANDARD,
        "no accuracy": replace(STANDARD, presence=replace(presence, assumed_accuracy_m=20.0)),
        "no hysteresis": replace(STANDARD, presence=flat),
        "no reordering": replace(STANDARD, lateness_seconds=0.0),
        "no beacons": replace(STANDARD, beacons=False),
        "no crowd": replace(STANDARD, crowd=False),
        "no roads": replace(STANDARD, roads=False),
    }


def ablation(recording: Recording, truth: Truth) -> Iterable[tuple[Part, Mapping[EventKind, Score]]]:
    """Score detection whole, and without each of its parts."""
    source = list(batches(signals(recording)))
    for part, policy in without().items():
        run = Replay(open_world(recording), policy)
        yield part, score(truth, [event for batch in source for event in run.feed(batch)])


def ablation_line(part: str, scores: Mapping[EventKind, Score]) -> str:
    """One line of the table: F1 and median latency of each kind."""
    return f"{part:<16}" + "".join(
        f"{each.f1:8.3f} {each.latency_seconds or 0:5.0f}s" for each in scores.values()
    )


def ablation_head() -> str:
    """The line above."""
    return f"{'F1, latency':<16}" + "".join(f"{kind:>15}" for kind in KINDS)


def examples(recording: Recording, truth: Truth, share: float = 1.0) -> list[Example]:
    """What the jam model would have weighed at each fix of a slow run, and whether the phone was in a jam then. With
    a `share` below 1 as if only so many of the phones were there, always the same ones.
    """
    jams, undecided = _jams(truth)
    run = Replay(open_world(recording))
    seen: dict[str, float] = {}
    found: list[Example] = []
    there = (signal for signal in signals(recording) if crc32(signal.device.encode()) < share * 2**32)
    for batch in batches(there):
        run.feed(batch)
        for device in sorted({signal.device for signal in batch}):
            each = run.tracks.get(device)
            drive = each.tip.drive if each else None
            if each is None or drive is None or seen.get(device) == drive.last.at:
                continue
            seen[device] = at = drive.last.at
            sign = next((one for one in reversed(each.tail.signs) if one.order == (at, "")), None)
            if sign is None or not drive.slow or at - drive.run.since < LEAST_SLOW_SECONDS:
                continue
            real = at + each.skew_seconds
            stuck = any(start <= real <= end for start, end in jams[device])
            if stuck or not any(start - 30 <= real <= end + 30 for start, end in undecided[device]):
                found.append(Example(features(drive, sign.surroundings, sign.road), stuck))
    return found


def _jams(
    truth: Truth,
) -> tuple[Mapping[str, list[tuple[float, float]]], Mapping[str, list[tuple[float, float]]]]:
    jams: dict[str, list[tuple[float, float]]] = defaultdict(list)
    undecided: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for each in truth:
        if isinstance(each, Happened) and each.kind is EventKind.STUCK:
            jams[each.device].append((each.since, each.until))
        elif isinstance(each, Undecided) and EventKind.STUCK in each.kinds:
            undecided[each.device].append((each.start, each.end))
    return jams, undecided
