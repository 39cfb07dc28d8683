"""The figures of a run as lines for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from engine.bench.plot import short

Figures = Mapping[str, Any]


def table(figures: Figures) -> str:
    """Everything that was measured."""
    return "\n".join(
        [
            *_end_to_end(figures),
            *_latencies(figures),
            *_stages(figures),
            *_peers(figures),
            *_scaling(figures["scaling"]),
            *_weights(figures),
            *_costs(figures.get("cost_model")),
        ]
    )


def _end_to_end(figures: Figures) -> Iterator[str]:
    work = figures["work"]
    yield (
        f"End to end, HTTP body to durable event: {work['devices']:,} phones, {work['inside_share']:.0%} inside, "
        f"random order, seed {work['seed']}, {work['cores']} cores"
    )
    yield f"{'geofences':>10} {'a body':>7} {'pings/CPU s':>12} {'pings/s':>9}   us a ping by process"
    for geofences, by_size in figures["end_to_end"]["by_geofences"].items():
        for size, each in by_size.items():
            parts = ", ".join(f"{name} {us:.2f}" for name, us in each["microseconds_per_ping"].items())
            yield (
                f"{int(geofences):>10,} {size:>7} {each['pings_per_cpu_second']:>12,} "
                f"{each['pings_per_second']:>9,}   {parts}"
            )


LATENCIES = {
    "answer": "answer_ms",
    "event durable": "event_ms",
    "after answer": "event_after_answer_ms",
    "message": "message_ms",
    "sent": "message_sent_ms",
}


def _latencies(figures: Figures) -> Iterator[str]:
    found = figures["end_to_end"]
    yield ""
    yield "Latency in ms, p50 / p99, from when a ping was due to be sent, or answered (bodies of 100)"
    yield "Load: pings a second, as a share of those that took a CPU second above"
    yield f"{'load':>6} {'pings/s':>9} {' '.join(f'{name:>15}' for name in LATENCIES)}  events"
    yield from map(_latency, found["latency_by_load"].items())
    yield "While everyone who enters is messaged"
    yield from map(_latency, found["latency_by_load_messaging"].items())


def _latency(measured: tuple[str, Figures]) -> str:
    load, each = measured
    columns = " ".join(f"{_pair(each[name]):>15}" for name in LATENCIES.values())
    behind = "" if each["kept_pace"] else "  (did not keep pace)"
    if not each["pings_per_second"]:
        behind = "  (no pings were left)"
    return f"{float(load):>6.0%} {each['pings_per_second']:>9,} {columns}  {each['events']}{behind}"


def _pair(each: Mapping[str, float | None]) -> str:
    if each["p50"] is None:
        return "none"
    return f"{each['p50']:.1f} / {each['p99']:.1f}"


def _stages(figures: Figures) -> Iterator[str]:
    yield ""
    yield "Stage by stage in one process, us of CPU a ping (bodies of 100, 20 of them at once)"
    yield f"{'stage':<10} {'ours':>8} {'live store':>11} {'pings/CPU s':>13}"
    for name, each in figures["stages"].items():
        yield (
            f"{name:<10} {each['ours']:>8.2f} {each['live_store']:>11.2f} {each['pings_per_cpu_second']:>13,}"
        )
    decisions = figures["decisions"]
    yield (
        f"decide is {decisions['microseconds_per_event']:,.0f} us an event, of which there are "
        f"{1000 * decisions['events_per_ping']:.2f} in a thousand pings"
    )


def _peers(figures: Figures) -> Iterator[str]:
    yield ""
    yield "Peers on the same pings and geofences; they match, and do nothing else"
    yield f"{'peer':<18} {'pings/s':>10} {'end to end is':>14} {'our match is':>13}   counted"
    for name, each in figures["peers"].items():
        if "skipped" in each:
            yield f"{name:<18} skipped: {each['skipped']}"
            continue
        yield (
            f"{name:<18} {each['pings_per_cpu_second']:>10,} {each['end_to_end_ratio']:>12.2f} x "
            f"{each['match_ratio']:>11.2f} x   {each['counted']}"
        )


def _scaling(scaling: Figures) -> Iterator[str]:
    yield ""
    if scaling["measured"]:
        yield "Workers that empty a full log, pings/s on this machine, and as the queueing model has it"
    for workers, each in scaling["measured"].items():
        yield f"{workers:>3} workers {each['pings_per_second']:>10,} {each['model']:>10,}"
    simulated = ", ".join(f"{count}: {short(rate)}" for count, rate in _rounded(scaling["simulated"]).items())
    yield f"Simulated pings/s of so many workers with a core each and one live store: {simulated}"


def _rounded(rates: Mapping[str, int]) -> dict[str, float]:
    return {count: float(f"{rate:.3g}") for count, rate in rates.items()}


def _weights(figures: Figures) -> Iterator[str]:
    yield ""
    if not figures.get("index"):
        yield "Index and memory: no time was left to weigh them"
        return
    yield "Index: build, one edit, us a ping where nobody was yet and where somebody was, bytes a geofence"
    for each in figures["index"].values():
        yield (
            f"{each['geofences']:>10,} {each['build_seconds']:>7.2f} s, put {each['put_microseconds']:,.0f} us, "
            f"remove {each['remove_microseconds']:,.0f} us, 1 % at once {each['bulk_edit_seconds']:.2f} s, "
            f"{each['match_cold_microseconds']:.2f} / {each['match_warm_microseconds']:.2f} us, "
            f"{each['bytes_per_geofence']:,.0f} bytes"
        )
    memory = figures.get("memory")
    if memory:
        yield (
            f"Bytes a phone: {memory['store_bytes_per_idle_device']:.0f} idle in the live store, "
            f"{memory['store_bytes_per_followed_device']:,.0f} more if followed "
            f"({memory['followed_share']:.1%} are), {memory['worker_bytes_per_device']:.0f} in a worker; "
            f"{memory['log_bytes_per_ping']:.0f} a ping in the signal log"
        )


def _costs(model: Figures | None) -> Iterator[str]:
    if model is None:
        return
    load, machine = model["load"], model["machine"]
    yield ""
    yield (
        f"{load['devices']:,} phones that report every {load['every_seconds']:.0f} s "
        f"({load['pings_per_second']:,} pings/s), {load['geofences']:,} geofences, on machines of "
        f"{machine['cores']} cores and {machine['memory_bytes'] / 2**30:.0f} GiB, half busy at most: "
        f"{model['machines']} machines"
    )
    for name, each in model["parts"].items():
        yield (
            f"  {name:<18} {each['processes']:>5} processes {each['memory_bytes'] / 2**30:>8.1f} GiB "
            f"{each['machines']:>4} machines"
        )
    yield "What gives way first while each part is one process, and at how many phones"
    for each in model["breaks_first"]:
        yield f"  {each['devices']:>14,}  {each['what']}"
    yield f"A process that starts reads the ledger of all phones for {model['start_seconds'] / 3600:.1f} hours"
