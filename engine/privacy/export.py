"""Everything held about one subject, from every table and from the live store, as JSON values.

Where a domain has words for its rows it writes them (`Desk.held`); every other table of `holdings.toml` that is about
shoppers is read row by row, so that a new one is in the export once it is declared.
"""

from collections.abc import Callable
from typing import Any

from pydantic_core import to_jsonable_python
from sqlalchemy import Connection, select

from consent.bodies import export_of
from consent.desk import Desk
from engine.privacy.holdings import Holding, whose

Live = Callable[[list[str]], list[dict[str, Any]]]


def everything_about(subject: str, desk: Desk, several: tuple[Holding, ...], live: Live) -> dict[str, Any]:
    """The export. Raises SubjectNotFound."""
    held = desk.held(subject)
    told = export_of(held, desk.now())
    with desk.reads.connect() as conn:
        for holding in several:
            if holding.is_exported and holding.section.partition(".")[0] not in told:
                told[holding.section] = rows_of(conn, holding, several, subject)
    told["live"] = live([device.device for device in held.subject.devices])
    answer: dict[str, Any] = to_jsonable_python(told)
    return answer


def rows_of(
    conn: Connection, holding: Holding, several: tuple[Holding, ...], subject: str
) -> list[dict[str, Any]]:
    """A table's rows about a subject, by their columns' names."""
    rows, owner = whose(holding, several)
    query = (
        select(holding.table).select_from(rows).where(owner == subject).order_by(*holding.table.primary_key)
    )
    return [dict(row) for row in conn.execute(query).mappings()]
