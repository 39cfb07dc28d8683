"""How well `nearby`, `approach` and `cross` are told, where it is known when phones were inside geofences.

That is known from true tracks, CSV (``device``, ``t``, ``lat``, ``lon``; unix seconds, one row a second or so), or, for
stores only, from a truth file as `engine.recordings.labelled` reads it. A stay is a true time inside, from outside; shorter gaps
are bridged. What should have been told follows from stays and from when the phone sent fixes, never from where its
fixes lay.
"""

import csv
import gzip
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from engine.beliefs import ROUGH_ACCURACY_M
from engine.recordings.labelled import APPROACH_SECONDS, Happened, Score, Truth, Undecided, score
from engine.recordings.recorded import RecordedPing, Unreadable, read_lines
from engine.recordings.replay import Recording, Replay, batches, open_world, signals
from engine.track import SKEW_AHEAD_SECONDS, SKEW_BEHIND_SECONDS
from geofences.crossing import PASSING
from geofences.event import EventKind, PlaceEvent, Revision
from geofences.geofence import Kind
from geofences.index import GeofenceIndex

KINDS = (EventKind.NEARBY, EventKind.APPROACH, EventKind.CROSS)
GAP_SECONDS = 20.0
"""Whoever is back inside sooner has not been outside."""
VISIT_SECONDS = 60.0
"""Who stays for less has not come for the store: whether to announce such a one is left undecided."""
PASSAGE_SECONDS = 5.0
"""A shorter one may be told, and need not."""
FIXES_NEARBY = 2
FIXES_ON_THE_WAY = 3
"""From so many fixes a phone can be noticed: inside a catchment, or in the last minutes before an arrival."""
COLUMNS = ("device", "t", "lat", "lon")


class Stay(NamedTuple):
    """A true time inside a geofence, in unix seconds."""

    device: str
    place: str
    start: float
    end: float


class Figures(NamedTuple):
    """The scores, and of approaches that came true by how many seconds the estimate was off (promised less true)."""

    scores: Mapping[EventKind, Score]
    eta_errors_seconds: Sequence[float]


def stays_of(truth: Truth) -> list[Stay]:
    """The stays in stores that a truth file tells, also those too short to be a visit."""
    stays = [
        Stay(each.device, each.place, each.at, each.until)
        for each in truth
        if isinstance(each, Happened) and each.kind is EventKind.ENTER
    ]
    return stays + [
        Stay(each.device, each.place, each.start, each.end)
        for each in truth
        if isinstance(each, Undecided) and EventKind.ENTER in each.kinds
    ]


def read_tracks(path: Path, index: GeofenceIndex) -> list[Stay]:
    """The stays in all geofences, from true positions. Raises `Unreadable`."""
    devices, at, lat, lon = _columns(path)
    inside = index.match(lon, lat, np.zeros(len(at)))
    began: dict[str, float] = {}
    for device, when in zip(devices, at.tolist(), strict=True):
        began[device] = min(when, began.get(device, when))
    times: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row, slot in zip(inside.ping.tolist(), inside.slot.tolist(), strict=True):
        times[devices[row], slot].append(float(at[row]))
    return [
        Stay(device, index.geofence(slot).id, start, end)
        for (device, slot), each in times.items()
        for start, end in _runs(sorted(each))
        if start > began[device]
    ]


def expected(stays: Iterable[Stay], fixes: Mapping[str, Sequence[float]], index: GeofenceIndex) -> Truth:
    """What should have been told: the truth of the three kinds. `fixes` are the times of each phone's fixes."""
    truth: list[Happened | Undecided] = []
    for stay in stays:
        geofence = index.get(stay.place)
        if geofence is None or stay.device not in fixes:
            continue
        sent = fixes[stay.device]
        if geofence.kind is Kind.CATCHMENT:
            noticed = bisect_right(sent, stay.end) - bisect_left(sent, stay.start) >= FIXES_NEARBY
            truth.append(_happened(EventKind.NEARBY, stay, observable=noticed and _began(sent) < stay.start))
            continue
        truth.append(_passage(stay, sent))
        if stay.end - stay.start < VISIT_SECONDS:
            truth.append(
                Undecided((EventKind.APPROACH,), *stay[:2], stay.start - APPROACH_SECONDS, stay.start)
            )
        elif geofence.kind is Kind.STORE:
            on_the_way = bisect_left(sent, stay.start) - bisect_left(sent, stay.start - APPROACH_SECONDS)
            truth.append(_happened(EventKind.APPROACH, stay, observable=on_the_way >= FIXES_ON_THE_WAY))
    return truth


def measure(recording: Recording, stays: Sequence[Stay]) -> Figures:
    """Run detection over a recording and compare it with the truth, each kind of which something is known."""
    run = Replay(open_world(recording))
    told = [
        event
        for batch in batches(signals(recording))
        for event in run.feed(batch)
        if event.kind in KINDS and event.revision is Revision.SAID
    ]
    fixes = sent_at(recording.pings)
    truth = [*expected(stays, fixes, run.world.index), *_cut_short(told, fixes)]
    known = [
        kind for kind in KINDS if any(isinstance(each, Happened) and each.kind is kind for each in truth)
    ]
    return Figures(score(truth, told, known), list(_eta_errors(told, stays)))


def table(figures: Figures) -> str:
    """One line for each kind, and one for the estimates of arrivals."""
    lines = [f"{'':<10}{'right':>7}{'wrong':>7}{'missed':>8}{'precision':>11}{'recall':>8}{'told after':>12}"]
    for kind, each in figures.scores.items():
        late = f"{each.latency_seconds:.0f} s" if each.latency_seconds is not None else "-"
        lines.append(
            f"{kind:<10}{each.right:>7}{each.wrong:>7}{each.missed:>8}"
            f"{each.precision:>11.3f}{each.recall:>8.3f}{late:>12}"
        )
    off = figures.eta_errors_seconds
    if off:
        lines.append(
            f"arrivals foretold: off by {median(map(abs, off)):.0f} s in the median, on the whole by {median(off):+.0f} s"
        )
    return "\n".join(lines)


def sent_at(pings: Path) -> Mapping[str, Sequence[float]]:
    """When each phone measured its fixes that are good enough, by our clock, in order."""
    times: dict[str, list[float]] = defaultdict(list)
    lags: dict[str, float] = {}
    for each in read_lines(pings, RecordedPing):
        lags[each.device] = min(lags.get(each.device, float("inf")), each.received_at - each.at)
        if 0 < each.accuracy <= ROUGH_ACCURACY_M:
            times[each.device].append(each.at)
    return {device: sorted(at + _skew(lags[device]) for at in each) for device, each in times.items()}


def _skew(lag_seconds: float) -> float:
    """A clock whose quickest news is so old, or from the future, is off."""
    return 0.0 if -SKEW_AHEAD_SECONDS <= lag_seconds <= SKEW_BEHIND_SECONDS else lag_seconds


def _began(sent: Sequence[float]) -> float:
    return sent[0] if sent else float("inf")


def _happened(kind: EventKind, stay: Stay, *, observable: bool) -> Happened:
    return Happened(kind, stay.device, stay.place, stay.start, until=stay.end, observable=observable)


def _passage(stay: Stay, sent: Sequence[float]) -> Happened:
    """To be told if it lies between two fixes of which the engine knows that one follows the other."""
    after = bisect_left(sent, stay.start)
    between = 0 < after < len(sent) and sent[after] > stay.end
    known = between and sent[after] - sent[after - 1] <= PASSING.most_seconds
    return _happened(EventKind.CROSS, stay, observable=known and stay.end - stay.start >= PASSAGE_SECONDS)


def _cut_short(told: Iterable[PlaceEvent], fixes: Mapping[str, Sequence[float]]) -> Iterator[Undecided]:
    """Of a phone that was heard for the last time before it should have arrived, nobody knows whether it did."""
    for event in told:
        if event.kind is EventKind.APPROACH:
            at = event.at.timestamp()
            if fixes[event.device][-1] < at + event.evidence["eta_seconds"]:
                yield Undecided((event.kind,), event.device, event.geofence, at, at)


def _eta_errors(told: Iterable[PlaceEvent], stays: Iterable[Stay]) -> Iterator[float]:
    starts: dict[tuple[str, str], list[float]] = defaultdict(list)
    for stay in stays:
        starts[stay.device, stay.place].append(stay.start)
    for event in told:
        if event.kind is not EventKind.APPROACH:
            continue
        at = event.at.timestamp()
        arrivals = [
            start for start in starts[event.device, event.geofence] if at <= start <= at + APPROACH_SECONDS
        ]
        if arrivals:
            yield at + event.evidence["eta_seconds"] - min(arrivals)


def _runs(times: Sequence[float]) -> Iterator[tuple[float, float]]:
    """First and last of the times that follow each other without a gap."""
    start = before = times[0]
    for at in times[1:]:
        if at - before > GAP_SECONDS:
            yield start, before
            start = at
        before = at
    yield start, before


def _columns(path: Path) -> tuple[list[str], Any, Any, Any]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    devices: list[str] = []
    numbers: list[tuple[float, ...]] = []
    with opener(path, "rt", encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise Unreadable(f"{path}: no column {missing[0]}; needed are {', '.join(COLUMNS)}")
        for number, row in enumerate(reader, start=2):
            try:
                numbers.append(tuple(float(row[name]) for name in COLUMNS[1:]))
            except (TypeError, ValueError):
                raise Unreadable(f"{path}, line {number}: t, lat and lon must be numbers") from None
            devices.append(row["device"])
    at, lat, lon = np.array(numbers).reshape(-1, 3).T
    return devices, at, np.ascontiguousarray(lat), np.ascontiguousarray(lon)
