"""Chaos at length: `make chaos`. The same pings twice, once undisturbed and once with processes, the live store and
cluster masters killed and paused all the while; what the engine tells must be the same, each event once.

    python -m tests.service.chaos storm --pings 2000000 --strikes 100 --seed 1
    python -m tests.service.chaos storm --cluster --pings 200000 --strikes 20
    python -m tests.service.chaos loss --rounds 10
"""

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from tests.service.crowd import assert_same
from tests.service.failover_loss import measure
from tests.service.storm import weather
from tests.support.valkey_cluster import valkey_cluster

CYCLE_STEPS = 200
"""A phone is inside a place for half of so many pings, so that most pings bring about nothing, as in a town."""


def storm(options: argparse.Namespace) -> None:
    """Both runs, and the comparison. Exits with 1 when they differ."""
    steps = options.pings // options.devices
    crowd = {
        "seed": options.seed,
        "began_at": time.time() - 4 * steps - 600,
        "pings": options.pings,
        "devices": options.devices,
        "body": options.body,
        "cycle_steps": CYCLE_STEPS,
    }
    with tempfile.TemporaryDirectory(prefix="chaland-chaos-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        bar = stack.enter_context(
            tqdm(total=2 * options.pings, unit="ping", unit_scale=True, file=sys.stderr)
        )
        bar.set_description("undisturbed")
        began = time.monotonic()
        *calm, _ = weather(folder / "calm", strikes=0, bar=bar, **crowd)
        calm_seconds = time.monotonic() - began
        bar.set_description("struck")
        cluster, environ = None, {}
        if options.cluster:
            (folder / "cluster").mkdir()
            cluster = stack.enter_context(valkey_cluster(folder / "cluster"))
            environ = {"CHALAND_VALKEY_URL": cluster.url, "CHALAND_DURABLE_REPLICAS": str(options.replicas)}
        began = time.monotonic()
        *stormy, done = weather(
            folder / "struck", strikes=options.strikes, cluster=cluster, environ=environ, bar=bar, **crowd
        )
        seconds = time.monotonic() - began
    try:
        assert_same(calm, stormy)
        same = True
    except AssertionError:
        same = False
    report = {
        "seed": options.seed,
        "pings": options.pings,
        "devices": options.devices,
        "store": "cluster of three masters, a replica each" if options.cluster else "embedded Valkey",
        "strikes": options.strikes,
        "done": dict(sorted(done.items())),
        "events": [len(calm[0]), len(stormy[0])],
        "messages": [len(calm[1]), len(stormy[1])],
        "seconds": [round(calm_seconds), round(seconds)],
        "the same": same,
    }
    print(json.dumps(report, indent=2))
    sys.exit(not same)


def loss(options: argparse.Namespace) -> None:
    """What a failover loses of what was accepted, by how many replicas had to hold it."""
    with tempfile.TemporaryDirectory(prefix="chaland-chaos-") as name, valkey_cluster(Path(name)) as cluster:
        for replicas in (0, 1):
            for pauses in (False, True):
                results = [
                    measure(cluster, replicas=replicas, pauses=pauses)
                    for _ in tqdm(range(options.rounds), file=sys.stderr, unit="failover")
                ]
                accepted, lost = (sum(each) for each in zip(*results, strict=True))
                what = "paused" if pauses else "killed"
                print(
                    f"masters {what}, {replicas} replicas asked for: {options.rounds} failovers, "
                    f"{accepted} accepted, {lost} of them lost"
                )


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("storm", help="the same pings, undisturbed and struck")
    one.add_argument("--pings", type=int, default=2_000_000)
    one.add_argument("--devices", type=int, default=1000)
    one.add_argument("--body", type=int, default=1000)
    one.add_argument("--strikes", type=int, default=100)
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--cluster", action="store_true", help="on a cluster, whose masters are struck")
    one.add_argument("--replicas", type=int, default=1, help="that must hold what is accepted")
    one.set_defaults(run=storm)
    other = commands.add_parser("loss", help="what a failover loses")
    other.add_argument("--rounds", type=int, default=10)
    other.set_defaults(run=loss)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))  # what runs is stopped too
    options.run(options)


if __name__ == "__main__":
    main()
