"""The database's triggers that write down each change, in the transaction that makes it, whoever makes it.

Nothing is written while nobody wants to hear: the row of `feed` says whether somebody does. They are looked for at each
start, as some steps of the schema make a table anew, and lose its triggers.
"""

from dataclasses import dataclass

from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Trigger:
    """Writes a change after `when` on `table`. `values` are SQL: detail, revision, ref, geofence, campaign."""

    name: str
    table: str
    when: str
    kind: str
    values: str
    only: str

    @property
    def statement(self) -> str:
        """What it does."""
        return (
            "INSERT INTO changes (kind, subject, detail, revision, ref, geofence, campaign) "  # noqa: S608  # our own words
            f"VALUES ('{self.kind}', NEW.subject, {self.values})"
        )

    @property
    def condition(self) -> str:
        """When it does it."""
        return f"NEW.subject IS NOT NULL AND {self.only} AND (SELECT wanted FROM feed WHERE id = 1)"  # noqa: S608


_EVENT = "NEW.kind, {}, NEW.id, NEW.geofence, NULL"
_REVISED = "CASE WHEN NEW.retracted_at IS NULL THEN 'amended' ELSE 'retracted' END"
_OTHER = " OR ".join(
    f"NEW.{column} {{distinct}} OLD.{column}"
    for column in ("at", "confidence", "zone", "beacon", "retracted_at")
)
_MESSAGE = "NEW.state, NULL, NEW.id, NEW.geofence, NEW.campaign"
_CONSENT = "NEW.action, NULL, NEW.id, NULL, NULL"
_DECISION = "NEW.outcome, NULL, NEW.id, NEW.geofence, NEW.campaign"

TRIGGERS = (
    Trigger("tell_event_1", "place_events", "INSERT", "event", _EVENT.format("'said'"), "TRUE"),
    Trigger("tell_event_again_1", "place_events", "UPDATE", "event", _EVENT.format(_REVISED), f"({_OTHER})"),
    Trigger("tell_decision_1", "decisions", "INSERT", "decision", _DECISION, "TRUE"),
    Trigger("tell_message_1", "messages", "INSERT", "message", _MESSAGE, "TRUE"),
    Trigger("tell_message_again_1", "messages", "UPDATE", "message", _MESSAGE, "NEW.state <> OLD.state"),
    Trigger("tell_consent_1", "consent_entries", "INSERT", "consent", _CONSENT, "TRUE"),
)
"""The number in a name is its version: raise it with each change."""


def ensure_triggers(conn: Connection) -> None:
    """Make those that are missing, and drop the ones of other versions."""
    postgresql = conn.dialect.name == "postgresql"
    there = dict(_there(conn, postgresql=postgresql))
    wanted = {each.name for each in TRIGGERS}
    for name, table in there.items():
        if name not in wanted:
            conn.exec_driver_sql(f"DROP TRIGGER {name}{f' ON {table}' if postgresql else ''}")
    for trigger in TRIGGERS:
        if trigger.name not in there:
            (_make_postgresql if postgresql else _make_sqlite)(conn, trigger)


def _there(conn: Connection, *, postgresql: bool) -> list[tuple[str, str]]:
    query = (
        "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE 'tell\\_%%' AND NOT tgisinternal"
        if postgresql
        else "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'tell_*'"
    )
    return [(row[0], row[1]) for row in conn.exec_driver_sql(query)]


def _make_sqlite(conn: Connection, trigger: Trigger) -> None:
    condition = trigger.condition.format(distinct="IS NOT")
    conn.exec_driver_sql(
        f"CREATE TRIGGER {trigger.name} AFTER {trigger.when} ON {trigger.table} WHEN {condition} "
        f"BEGIN {trigger.statement}; END"
    )


def _make_postgresql(conn: Connection, trigger: Trigger) -> None:
    condition = trigger.condition.format(distinct="IS DISTINCT FROM")
    conn.exec_driver_sql(
        f"CREATE OR REPLACE FUNCTION {trigger.name}() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN IF {condition} THEN {trigger.statement}; END IF; RETURN NULL; END $$"
    )
    conn.exec_driver_sql(
        f"CREATE TRIGGER {trigger.name} AFTER {trigger.when} ON {trigger.table} "
        f"FOR EACH ROW EXECUTE FUNCTION {trigger.name}()"
    )
