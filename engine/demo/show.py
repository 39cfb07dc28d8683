"""The sample town as a running show: the web server, the simulated shoppers, and a count of what came of it."""

import secrets
import threading
from typing import TYPE_CHECKING

import httpx2

from engine.console.feed import Feed
from engine.console.sign_in import Invitation
from engine.demo.town import Town, to_degrees
from engine.doors.serving import Server

if TYPE_CHECKING:
    from engine.app import Engine
    from engine.provider.provider import Provider

SUMMARY_ROWS = 5


def run_town(
    engine: "Engine", key: str, host: str, port: int, seconds: int | None, phone: "Provider | None" = None
) -> None:
    """Serve the API and the page, with people in the town, until Ctrl-C or for so many seconds. Their texts come from
    `phone`, if there is one.
    """
    feed = Feed(engine.records, engine.now)
    stop = threading.Event()
    town = Town(httpx2.Client(headers={"Authorization": f"Bearer {key}"}, timeout=30), engine.now)
    invitation = Invitation(secrets.token_urlsafe(16), key)
    app = engine.web(
        with_console=True,
        people=lambda: [_on_map(town, number) for number in range(len(town.shoppers))],
        invitation=invitation,
    )
    server = Server(app, host, port)
    if phone:
        phone.engine_listens_at(server.url)

    def live() -> None:
        town.client.base_url = httpx2.URL(server.url)
        town.set_up()
        print(f"the town is up: {server.url}  (Ctrl-C stops it)", flush=True)  # noqa: T201  # the command's output
        if phone:
            print(f"the shoppers' phones: {phone.url}", flush=True)  # noqa: T201  # the command's output
        if key:
            print(f"open this in a browser: {server.url}{invitation.path}", flush=True)  # noqa: T201  # the command's output
        town.run(stop)

    people = threading.Thread(target=live, name="town")
    server.when_up(people.start)
    try:
        server.run(seconds)
    finally:
        stop.set()
        if people.ident:
            people.join()
        town.client.close()
    if seconds is not None:
        for line in _summary(feed):
            print(line)  # noqa: T201  # the command's output


def _on_map(town: Town, number: int) -> tuple[float, float, bool]:
    shopper = town.shoppers[number]
    return *to_degrees(shopper.east_m, shopper.north_m), shopper.drives


def _summary(feed: Feed) -> list[str]:
    view = feed.look(SUMMARY_ROWS)
    lines = [", ".join(f"{value} {name}" for name, value in view.totals.items())]
    lines += [f"offer    {row['at']}  {row['who']}: {row['text']}" for row in view.offers]
    lines += [f"refused  {row['at']}  {row['who']}: {row['reason']}" for row in view.refusals]
    return lines
