"""Peers that are servers of their own and are asked when their address is given: PostGIS and Tile38."""

from typing import Any

import psycopg
import shapely
from redis import Redis

from engine.bench.peers import PIPELINE, Peer, Skipped, Task, local_process, timed
from engine.bench.work import name_of

FLEET = "chaland-bench-fleet"
CHANNEL = "chaland-bench-place-"


def postgis(task: Task, url: str) -> Peer | Skipped:
    """One join of all pings with all geofences, in temporary tables with a GiST index."""
    if not url:
        return Skipped("postgis", "no address given; --postgis postgresql://...")
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS postgis")
        cursor.execute("CREATE TEMP TABLE places (id int, shape geometry)")
        with cursor.copy("COPY places FROM STDIN") as copy:
            for place, each in enumerate(task.outlines):
                copy.write_row(
                    (place, shapely.to_wkb(shapely.set_srid(each, 4326), hex=True, include_srid=True))
                )
        cursor.execute("CREATE INDEX ON places USING gist (shape)")
        cursor.execute("CREATE TEMP TABLE pings (id int, place geometry(Point, 4326))")
        points = shapely.set_srid(shapely.points(task.lon, task.lat), 4326)
        with cursor.copy("COPY pings FROM STDIN") as copy:
            for row, point in enumerate(shapely.to_wkb(points, hex=True, include_srid=True)):
                copy.write_row((row, point))
        cursor.execute("ANALYZE places; ANALYZE pings; SET max_parallel_workers_per_gather = 0")
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone() or (0,)

        def join() -> int:
            cursor.execute(
                "SELECT count(DISTINCT pings.id) FROM pings JOIN places ON ST_Intersects(shape, place)"
            )
            [found] = cursor.fetchone() or (0,)
            return int(found)

        inside, seconds, by = timed(local_process(pid, "postgres"), join)
    return Peer("postgis", len(task), inside, seconds, by)


def tile38(task: Task, address: str) -> Peer | Skipped:
    """Every geofence a live channel that tells who enters and exits, every ping a SET of its phone, pipelined."""
    if not address:
        return Skipped("tile38", "no address given; --tile38 HOST:PORT")
    host, _, port = address.rpartition(":")
    with Redis(host=host or "127.0.0.1", port=int(port), protocol=2) as client:
        ask: Any = client.execute_command
        try:
            for place, each in enumerate(task.outlines):
                fence = ("WITHIN", FLEET, "FENCE", "DETECT", "enter,exit", "OBJECT", shapely.to_geojson(each))
                ask("SETCHAN", f"{CHANNEL}{place}", *fence)
            seconds, by = _send_all(client, task, int(dict(_pairs(ask("SERVER")))["pid"]))
        finally:
            ask("PDELCHAN", f"{CHANNEL}*")
            ask("DROP", FLEET)
    return Peer("tile38", len(task), 0, seconds, by)


def _send_all(client: "Redis", task: Task, pid: int) -> tuple[float, str]:
    def send() -> int:
        for some in task.chunks(PIPELINE):
            columns = (task.device[some].tolist(), task.lat[some].tolist(), task.lon[some].tolist())
            with client.pipeline(transaction=False) as pipeline:
                for device, lat, lon in zip(*columns, strict=True):
                    pipeline.execute_command(  # type: ignore[no-untyped-call]  # redis-py's
                        "SET", FLEET, name_of(device), "POINT", lat, lon
                    )
                pipeline.execute()
        return 0

    _, seconds, by = timed(local_process(pid, "tile38"), send)
    return seconds, by


def _pairs(flat: list[bytes]) -> list[tuple[str, str]]:
    """A flat list of names and values, two by two."""
    return [(name.decode(), value.decode()) for name, value in zip(flat[::2], flat[1::2], strict=True)]
