"""The commands about the rules of countries, under `chaland rules`."""

from datetime import datetime
from typing import Annotated

import typer

from engine.commands.opening import fail, opened


def list_rules(
    country: Annotated[str, typer.Option(help="ISO 3166 code; all if not given.")] = "",
) -> None:
    """List every version of every rule, who says so, and when to review it; exit 1 if a review is overdue.

    Example:  chaland rules list --country FR
    """
    from consent.countries.pack import all_rules, overdue
    from engine.clock import wall_clock

    late = {rule.name for rule in overdue(wall_clock().date())}
    for rule in all_rules():
        if rule.area.startswith(country.upper()):
            mark = "OVERDUE" if rule.name in late else "review"
            typer.echo(
                f"{rule.name:28} {rule.area:6} {rule.basis:9} {mark} by {rule.review_by}  {rule.source}"
            )
    raise typer.Exit(1 if late else 0)


def explain_rules(
    store: Annotated[str, typer.Option(help="The id of a geofence; left out: an offer about no place.")] = "",
    to: Annotated[str, typer.Option(help="The phone number; left out: a shopper without one.")] = "",
    at: Annotated[
        datetime | None, typer.Option(help="Local time of the store, without one UTC; now if not given.")
    ] = None,
    channel: Annotated[str, typer.Option(help="sms or push.")] = "sms",
    country: Annotated[
        str, typer.Option(help="Without a store: the campaign's country (ISO 3166), if it names one.")
    ] = "",
) -> None:
    """Tell whether an offer may go to a number, from a store or about no place, at an instant; if not, why not, and when next.

    Exit 1 if it may not.

    Example:  chaland rules explain --store bakery --to +33639980001 --at 2026-12-26T10:00:00
    """
    from zoneinfo import ZoneInfo

    from consent.countries.place import Anywhere
    from consent.countries.rule import Reach
    from consent.entry import Channel
    from consent.errors import InvalidConsent
    from consent.phone import normalise, origin_of
    from engine.explanation import explain
    from geofences import store as geofence_store

    if channel not in list(Channel):
        raise typer.BadParameter(f"one of {', '.join(Channel)}", param_hint="--channel")
    with opened() as engine:
        with engine.records.reads.connect() as connection:
            geofence = geofence_store.get(connection, store) if store else None
        if geofence is None and store:
            fail(f"no geofence has the id {store!r}; `chaland geofences export` lists them")
        try:
            origin = origin_of(normalise(to, engine.settings.default_region, "--to")) if to else None
        except InvalidConsent as error:
            fail(str(error))
        where = geofence or Anywhere(country.upper() or None)
        clock = ZoneInfo(geofence.timezone if geofence else "UTC")
        instant = at.replace(tzinfo=at.tzinfo or clock) if at else engine.now()
        lines, allowed = explain(
            where, origin, instant, Channel(channel), Reach(engine.settings.sending_hours)
        )
    for line in lines:
        typer.echo(line)
    raise typer.Exit(0 if allowed else 1)
