from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from campaigns.decide import Outcome, decide
from campaigns.decision_store import record_decision
from campaigns.errors import DecisionNotFound
from campaigns.gates import GateName, Reason
from campaigns.listing import Filters
from campaigns.replay import Sameness
from campaigns.replay_store import replay_of, replays
from campaigns.store import put_campaign
from campaigns.tables import decisions
from campaigns.triggers.held_store import cancel_of_event, hold
from campaigns.triggers.trigger import Trigger
from engine.records import open_records
from engine.schema import upgrade
from geofences.event import EventKind
from tests.campaigns.cast import BREAD, decided, event, granted, moment
from tests.conftest import MONDAY_NINE as NOW
from tests.support.command import chaland

CAKE = replace(BREAD, id="cake", trigger=Trigger(EventKind.ENTER, ("bakery",), delay_seconds=600))


@pytest.fixture
def conn(records):
    with records.writes.begin() as connection:
        for campaign in (BREAD, CAKE):
            put_campaign(connection, campaign, NOW - timedelta(days=1))
        yield connection


def tamper(conn, decision_id, name, **changes):
    gates = conn.scalar(select(decisions.c.gates).where(decisions.c.id == decision_id))
    changed = [{**each, **changes} if each["gate"] == name else each for each in gates]
    conn.execute(update(decisions).where(decisions.c.id == decision_id).values(gates=changed))


def test_what_is_stored_is_judged_again_and_what_was_changed_is_found(conn):
    for number in range(3):
        record_decision(conn, *decided(f"fix-{number}", at=NOW + timedelta(days=number)))
    assert [each.sameness for each in replays(conn, Filters())] == [Sameness.SAME] * 3
    last, _ = decided("fix-2", at=NOW + timedelta(days=2))
    tamper(conn, last.id, "suppression", input={"suppressed": True})
    first, *others = replays(conn, Filters(since=NOW + timedelta(days=1)))
    assert (first.decision.id, first.sameness) == (last.id, Sameness.DIFFERS)
    assert [each.sameness for each in others] == [Sameness.SAME]
    found = replay_of(conn, last.id)
    wrong = [each.name for each in found.gates if each.sameness is not Sameness.SAME]
    assert (wrong, found.again) == ([GateName.SUPPRESSION], (Outcome.REFUSED, Reason.SUPPRESSED))
    with pytest.raises(DecisionNotFound):
        replay_of(conn, "none")


def test_a_moment_that_ended_while_it_waited_keeps_when_it_was_judged(conn):
    now = moment(marketing=granted(), location=granted())
    decision = decide(CAKE, now, NOW)
    record_decision(conn, decision, None)
    hold(conn, decision, event(), NOW + timedelta(seconds=600))
    cancel_of_event(conn, decision.event, NOW + timedelta(seconds=60))
    found = replay_of(conn, decision.id)
    assert (found.decision.reason, found.decision.judged_at) == (Reason.EVENT_RETRACTED, NOW)
    assert found.sameness is Sameness.SAME


def test_the_command_judges_all_again_and_fails_on_a_difference(tmp_path):
    records = open_records("sqlite:///" + str(tmp_path / "records.sqlite"), tmp_path / "vault.keys")
    upgrade(records)
    with records.writes.begin() as connection:
        put_campaign(connection, BREAD, NOW - timedelta(days=1))
        for number in range(3):
            record_decision(connection, *decided(f"fix-{number}", at=NOW + timedelta(days=number)))
    run = chaland("decisions", "replay", "--quiet", data_dir=tmp_path)
    assert (run.returncode, run.stdout) == (
        0,
        "3 decisions: 3 the same, 0 differ, 0 from before enough was recorded\n",
    )
    last, _ = decided("fix-2", at=NOW + timedelta(days=2))
    with records.writes.begin() as connection:
        tamper(connection, last.id, "address", verdict="fail")
    records.close()
    run = chaland("decisions", "replay", "--campaign", "bread", "--since", "2026-11-24", data_dir=tmp_path)
    assert run.returncode == 1
    assert run.stdout.splitlines()[-2:] == [
        f"{last.id} of bread differs: address (verdict)",
        "2 decisions: 1 the same, 1 differ, 0 from before enough was recorded",
    ]
