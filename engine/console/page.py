"""The first page of the console: places on a map, events, offers and refusals as they happen."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from math import cos, radians
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from nicegui import ui

from engine.console.feed import Feed, Place, View
from engine.console.gate import PAGE, SIGN_IN, SIGN_OUT, ConsoleGate, token_in
from engine.console.session import Sessions
from engine.privacy.part import LISTS_NOTED

if TYPE_CHECKING:
    from datetime import datetime

REFRESH_SECONDS = 1.0
ROWS = 12
MAP_WIDTH, MAP_HEIGHT = 900, 560
MARGIN = 40
PULSE_COLOURS = {"enter": "#16a34a", "exit": "#64748b", "dwell": "#d97706"}

SIGN_OUT_BUTTON = (
    f'<form method="post" action="{SIGN_OUT}"><button class="text-white">Sign out</button></form>'
)

Note = Callable[[str, str, Iterable[str]], None]
"""Told of the actor, the page, and the subjects that it shows."""
Projection = Callable[[float, float], tuple[float, float]]
People = Callable[[], Sequence[tuple[float, float, bool]]]
"""Simulated people to draw, as (lat, lon, drives); a real engine keeps no positions and draws none."""


def add_console(app: FastAPI, feed: Feed, people: People, sessions: Sessions, note: Note) -> None:
    """Serve the page at ``/`` to those who have signed in; `note` writes down whose data they are shown."""
    app.add_middleware(ConsoleGate, sessions=sessions)

    @ui.page(PAGE, title="Chaland")
    def page(request: Request) -> Response | None:
        token = token_in(request.scope)
        if sessions.find(token) is None:  # the gate lets nobody through; but this is what it guards
            return RedirectResponse(SIGN_IN, 303)
        noted: dict[str, datetime] = {}
        ui.add_css(".q-table tbody td { font-variant-numeric: tabular-nums }")
        with ui.header().classes("items-center bg-slate-800"):
            ui.label("Chaland").classes("text-xl font-semibold")
            ui.label("the moment that matters, one lawful offer, or none and why").classes("opacity-70")
            ui.space()
            ui.link("API", "/docs", new_tab=True).classes("text-white")
            ui.html(SIGN_OUT_BUTTON, sanitize=False)
        counts = ui.row().classes("w-full gap-4 px-2")
        with ui.row().classes("w-full no-wrap gap-4 px-2 items-start"):
            with ui.card().classes("w-1/2"):
                plan = ui.html("", sanitize=False).classes("w-full")
            with ui.column().classes("w-1/2 gap-4"):
                offers = _table("Offers", {"at": "time", "who": "shopper", "text": "offer", "state": "state"})
                refusals = _table("Refused, and why", {"at": "time", "who": "shopper", "reason": "reason"})
                events = _table("Events", {"at": "time", "who": "shopper", "kind": "event", "place": "place"})

        def refresh() -> None:
            reader = sessions.find(token)
            if reader is None:
                timer.deactivate()
                ui.navigate.to(SIGN_IN)
                return
            view = feed.look(ROWS)
            since = view.at - LISTS_NOTED
            for subject in [each for each, at in noted.items() if at <= since]:
                del noted[subject]
            if new := view.subjects - noted.keys():
                note(f"key:{reader.id}", "console", sorted(new))
                noted.update(dict.fromkeys(new, view.at))
            plan.set_content(drawing(view, people()))
            for table, rows in (
                (offers, view.offers),
                (refusals, view.refusals),
                (events, view.events),
            ):
                table.rows = list(rows)
                table.update()
            counts.clear()
            with counts:
                for name, value in view.totals.items():
                    with ui.card().classes("px-4 py-2"):
                        ui.label(str(value)).classes("text-2xl font-semibold")
                        ui.label(name).classes("text-sm text-slate-500")

        timer = ui.timer(REFRESH_SECONDS, refresh)
        refresh()
        return None

    ui.run_with(app, title="Chaland", mount_path="/")


def drawing(view: View, people: Sequence[tuple[float, float, bool]]) -> str:
    """The places, what just happened there, and the simulated people, as SVG."""
    return f'<svg viewBox="0 0 {MAP_WIDTH} {MAP_HEIGHT}" role="img" aria-label="Map of the geofences">' + (
        "".join(_parts(view, people)) + "</svg>"
    )


def _parts(view: View, people: Sequence[tuple[float, float, bool]]) -> Iterator[str]:
    yield f'<rect width="{MAP_WIDTH}" height="{MAP_HEIGHT}" fill="#f1f5f9" rx="12"/>'
    if not view.places:
        yield '<text x="40" y="60" fill="#475569">No geofences yet: PUT /v1/geofences/{id}</text>'
        return
    place_on_map = _projection([point for place in view.places for ring in place.rings for point in ring])
    for place in view.places:
        yield from _drawn(place, place_on_map)
    for lat, lon, drives in people:
        x, y = place_on_map(lon, lat)
        yield (
            f'<rect x="{x - 6:.1f}" y="{y - 4:.1f}" width="12" height="8" rx="2" fill="#7c3aed"/>'
            if drives
            else f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="#2563eb"/>'
        )


def _drawn(place: Place, place_on_map: Projection) -> Iterator[str]:
    colour = PULSE_COLOURS.get(place.newest_event or "", "#334155")
    end = "" if place.is_line else " Z"
    paths = " ".join(
        "M" + " L".join("{:.1f},{:.1f}".format(*place_on_map(*point)) for point in ring) + end
        for ring in place.rings
    )
    if place.is_line:
        yield f'<path d="{paths}" fill="none" stroke="{colour}" stroke-opacity=".3" stroke-width="14"/>'
    else:
        yield f'<path d="{paths}" fill="{colour}" fill-opacity=".18" fill-rule="evenodd" stroke="{colour}"/>'
    x, y = place_on_map(*place.label_at)
    name = escape(place.name)
    yield f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" font-size="15" fill="#0f172a">{name}</text>'


def _projection(points: Sequence[tuple[float, float]]) -> Projection:
    west, east = min(p[0] for p in points), max(p[0] for p in points)
    south, north = min(p[1] for p in points), max(p[1] for p in points)
    shrink = cos(radians((south + north) / 2))
    scale = min(
        (MAP_WIDTH - 2 * MARGIN) / max((east - west) * shrink, 1e-6),
        (MAP_HEIGHT - 2 * MARGIN) / max(north - south, 1e-6),
    )

    def project(lon: float, lat: float) -> tuple[float, float]:
        return (
            MAP_WIDTH / 2 + (lon - (west + east) / 2) * shrink * scale,
            MAP_HEIGHT / 2 - (lat - (south + north) / 2) * scale,
        )

    return project


def _table(title: str, columns: Mapping[str, str]) -> Any:
    return ui.table(
        title=title,
        columns=[
            {"name": name, "label": label, "field": name, "align": "left"} for name, label in columns.items()
        ],
        rows=[],
        row_key="id",
    ).classes("w-full")
