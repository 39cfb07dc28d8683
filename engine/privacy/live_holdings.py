"""What the live store holds of some devices, readable: for the export. It changes by the second."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import chain
from math import isnan
from typing import Any, cast

import msgspec

from engine.batch import FIELDS
from engine.event_log import decode_event
from engine.live import Live, device_prefix, due_key, events_key, gate_key, partition_of
from engine.log import SignalLog, entry_of
from engine.quarantine import Of, Quarantine, is_readable
from engine.track import Track, UnreadableTrack, decode_track

LAST_ID = b"+"


def held_of(live: Live, log: SignalLog, names: Iterable[str]) -> list[dict[str, Any]]:
    """For each device: whether it may be heard, what detection believes, and signals and events on their way."""
    by_partition: dict[int, list[str]] = defaultdict(list)
    for name in names:
        by_partition[partition_of(name, live.partitions)].append(name)
    return [
        each
        for partition, devices in by_partition.items()
        for each in _of_partition(live, log, partition, devices)
    ]


def _of_partition(live: Live, log: SignalLog, partition: int, devices: list[str]) -> list[dict[str, Any]]:
    with live.client.pipeline(transaction=False) as pipeline:
        for device in devices:
            pipeline.hget(gate_key(partition), device)
            pipeline.get(device_prefix(partition) + device)
            pipeline.zscore(due_key(partition), device)
        answers = pipeline.execute()
    signals, events = _signals(live, log, partition, devices), _events(live, partition, devices)
    held = []
    for device, gate, state, due_ms in zip(devices, *(answers[part::3] for part in range(3)), strict=True):
        held.append(
            {
                "device": device,
                "gate": "unknown" if gate is None else "open" if gate.startswith(b"1") else "closed",
                "state": None if state is None else _state(state),
                "timer_due_at": None if due_ms is None else _instant(due_ms / 1000),
                "signals": signals[device],
                "events": events[device],
            }
        )
    return held


def _state(state: bytes) -> dict[str, Any]:
    try:
        return _beliefs(decode_track(state))
    except UnreadableTrack:
        return {"unreadable": state.hex()}


def _beliefs(track: Track) -> dict[str, Any]:
    """A track as JSON values; the signals that it may go through again are among them."""
    told: dict[str, Any] = msgspec.to_builtins(
        {
            "beliefs": track.tip,
            "beliefs_before": track.base,
            "signals": track.tail.signs,
            "told": track.said,
            "lag_seconds": track.lag_seconds,
        },
        str_keys=True,
    )
    return cast("dict[str, Any]", _finite(told))


def _signals(
    live: Live, log: SignalLog, partition: int, devices: list[str]
) -> dict[str, list[dict[str, Any]]]:
    """The signals of these devices that the log still has, processed or not, and those set aside that can be read."""
    found: dict[str, list[dict[str, Any]]] = {device: [] for device in devices}
    aside = (entry_of(each.id, each.parts) for each in Quarantine(live).entries(Of.SIGNALS, partition))
    for entry in (*log.processed(partition, LAST_ID), *aside):
        for row, device in enumerate(entry.signals.devices):
            if device not in found:
                continue
            values = dict(zip(FIELDS, entry.signals.columns[:, row].tolist(), strict=True))
            signal = {name: value for name, value in values.items() if not isnan(value)}
            heard = entry.signals.heard.get(row)
            found[device].append(
                signal | ({} if heard is None else {"heard": msgspec.to_builtins(heard, str_keys=True)})
            )
    return found


def _events(live: Live, partition: int, devices: list[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {device: [] for device in devices}
    waiting = [
        [*chain.from_iterable(fields.items())]
        for _, fields in cast("Any", live.client.xrange(events_key(partition)))
    ]
    aside = (each.parts for each in Quarantine(live).entries(Of.EVENTS, partition))
    for parts in (*waiting, *aside):
        if is_readable(Of.EVENTS, parts) and (event := decode_event(parts[1])).device in found:
            found[event.device].append(msgspec.to_builtins(event, str_keys=True))
    return found


def _finite(value: Any) -> Any:
    """JSON has no infinity: such a number is null."""
    match value:
        case dict():
            return {name: _finite(each) for name, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
        case float():
            return value if abs(value) != float("inf") and not isnan(value) else None
        case bytes():
            return value.hex()
        case _:
            return value


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()
