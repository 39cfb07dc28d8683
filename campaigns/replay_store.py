"""Decisions as they are kept, judged again.

Every function takes an open connection; the caller owns the transaction.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from campaigns.decide import Decision
from campaigns.decision_store import decisions_page, get_decision
from campaigns.lifecycle.version import Version
from campaigns.lifecycle.version_store import version_of
from campaigns.listing import Filters
from campaigns.replay import Replay, replay

PORTION = 500
VERSIONS_LIMIT = 1000
"""Versions that are remembered."""


def replay_of(conn: Connection, decision_id: str) -> Replay:
    """One decision, judged again. Raises `DecisionNotFound`."""
    decision = get_decision(conn, decision_id)
    return replay(decision, _version(conn, decision))


def replays(conn: Connection, filters: Filters) -> Iterator[Replay]:
    """All of them, the newest first."""
    versions: dict[tuple[str, int | None], Version | None] = {}
    cursor: str | None = None
    while True:
        page = decisions_page(conn, filters, PORTION, cursor)
        for decision in page.items:
            named = decision.campaign, decision.version
            if named not in versions:
                if len(versions) >= VERSIONS_LIMIT:
                    versions.clear()
                versions[named] = _version(conn, decision)
            yield replay(decision, versions[named])
        if page.next is None:
            return
        cursor = page.next


def _version(conn: Connection, decision: Decision) -> Version | None:
    return None if decision.version is None else version_of(conn, decision.campaign, decision.version)
