from datetime import timedelta

from campaigns.decide import compose, decide
from campaigns.decision_store import record_decision
from campaigns.gates import Reason
from engine.facts import gather
from tests.campaigns.cast import BAKERY, BREAD, decided, event
from tests.conftest import MONDAY_NINE
from tests.engine.test_sender import welcome

NOW = MONDAY_NINE


def test_facts_are_what_the_records_hold(records):
    with records.writes.begin() as connection:
        welcome(connection)
        record_decision(connection, *decided("fix-1", at=NOW - timedelta(hours=1)))
        facts = gather(connection, ["ana", "nobody"], [BREAD], NOW)
    now = facts.moment(BREAD, event(), BAKERY, "ana")
    assert now.recipient.attributes == {"first_name": "Ana"}
    assert now.recipient.origin.zones
    assert now.marketing.allowed
    assert now.location.allowed
    assert [sent.at for sent in now.sent] == [NOW - timedelta(minutes=45)]  # at the latest, as it waits
    for stranger in ("nobody", None):
        assert facts.moment(BREAD, event(), BAKERY, stranger).recipient is None


def test_what_was_just_decided_counts(records):
    with records.writes.begin() as connection:
        welcome(connection)
        facts = gather(connection, ["ana"], [BREAD], NOW)
    moment = facts.moment(BREAD, event(), BAKERY, "ana")
    facts.count(compose(decide(BREAD, moment, NOW), BREAD, moment))
    full = facts.moment(BREAD, event(), BAKERY, "ana")
    assert decide(BREAD, full, NOW).reason is Reason.CAP_REACHED
