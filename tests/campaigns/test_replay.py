"""What was decided is judged again from its record alone.

`CHALAND_REPLAYS=100000 pytest tests/campaigns/test_replay.py` tries that many moments.
"""

import json
import os
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from campaigns.audience.audience import parse_audience
from campaigns.decide import AT_ONCE, Decision, Outcome, decide
from campaigns.gates import GateName, Reason, Verdict, gate_from_json, gate_json
from campaigns.lifecycle.version import Version, content_hash, content_of
from campaigns.replay import Replay, Sameness, replay, replay_json
from campaigns.triggers.trigger import Trigger
from geofences.event import EventKind
from tests.campaigns.cast import ANA, BREAD, moment, withdrawn
from tests.conftest import MONDAY_NINE
from tests.support.moments import campaign_and_moment

NOW = MONDAY_NINE
GOLD, _ = parse_audience({"attribute": "tier", "in": ["gold"]})
MANY = int(os.environ.get("CHALAND_REPLAYS", "1500"))
NOT_OF_GATES = {
    Reason.OK,
    Reason.NO_CHANNEL,
    Reason.NO_TRACE,
    Reason.PROVIDER_REFUSED,
    Reason.CONFIGURATION,
    Reason.RETRIES_EXHAUSTED,
    Reason.COUNTRY_NOT_ALLOWED,
    Reason.NOT_A_MOBILE,
    Reason.PREFIX_VELOCITY,
    Reason.NOT_JUDGED,
}
"""Of sending, and of moments that ended while they waited."""


def stored(decision: Decision) -> Decision:
    """The decision as it comes back from the store."""
    gates = json.loads(json.dumps([gate_json(gate) for gate in decision.gates]))
    return replace(decision, gates=tuple(map(gate_from_json, gates)))


def version_of(campaign, **changes) -> Version:
    content = json.loads(json.dumps(content_of(campaign)))
    usual = Version(
        campaign.id, campaign.version, content, content_hash(campaign), NOW, NOW - timedelta(days=9)
    )
    return replace(usual, **changes)


def with_gate(decision: Decision, name: GateName, **changes) -> Decision:
    gates = [replace(gate, **changes) if gate.gate is name else gate for gate in decision.gates]
    return replace(decision, gates=tuple(gates))


def gate(found: Replay, name: GateName):
    return next(each for each in found.gates if each.name is name)


def test_whatever_is_decided_is_decided_again_from_its_record(tell):
    verdicts, reasons = Counter(), Counter()
    for number in range(MANY):
        campaign, now = campaign_and_moment(number)
        decision = stored(decide(campaign, now, NOW, test=number % 20 == 0))
        found = replay(decision, version_of(campaign))
        wrong = [(each.name, each.because) for each in found.gates if each.sameness is not Sameness.SAME]
        assert (found.sameness, found.because, wrong) == (Sameness.SAME, None, []), f"moment {number}"
        assert found.again == (decision.outcome, decision.reason)
        verdicts.update((each.gate, each.verdict) for each in decision.gates)
        reasons.update(each.reason for each in decision.gates if each.reason)
    for name in GateName:
        assert verdicts[name, Verdict.PASS], name
        assert verdicts[name, Verdict.FAIL], name
    assert set(Reason) - NOT_OF_GATES == reasons.keys()
    tell(
        f"replays: {MANY} decisions, {sum(reasons.values())} refusals of {len(reasons)} reasons, all the same"
    )


def test_any_verdict_that_was_turned_is_found():
    found = 0
    for number in range(60):
        campaign, now = campaign_and_moment(number)
        decision, version = stored(decide(campaign, now, NOW)), version_of(campaign)
        for each in decision.gates:
            turned = {Verdict.PASS: Verdict.FAIL, Verdict.FAIL: Verdict.PASS, Verdict.SKIP: Verdict.PASS}
            again = replay(with_gate(decision, each.gate, verdict=turned[each.verdict]), version)
            assert again.sameness is Sameness.DIFFERS
            assert [one.name for one in again.gates if one.sameness is Sameness.DIFFERS] == [each.gate]
            found += 1
    assert found == 60 * len(GateName)


@pytest.mark.parametrize(
    ("name", "input_"),
    [
        (GateName.CAMPAIGN_ACTIVE, {"state": "paused"}),
        (GateName.TRIGGER, {"geofence": "elsewhere"}),
        (GateName.SUBJECT, {"known": False}),
        (GateName.CONSENT, {"action": "withdraw"}),
        (GateName.CONSENT, {"since": "2026-11-24T07:55:00+00:00"}),
        (GateName.CONSENT, {"purpose": "location"}),
        (GateName.CONSENT, {"channel": "push"}),
        (GateName.LOCATION_CONSENT, {"renewal_due": "2026-11-20T00:00:00+00:00"}),
        (GateName.SUPPRESSION, {"suppressed": True}),
        (GateName.FIX, {"min_confidence": 0.1}),
        (GateName.SHELF_LIFE, {"age_seconds": 901.0}),
        (GateName.WINDOW, {"local_time": "mon 10:00"}),
        (GateName.COUNTRY_HOURS, {"zones": ["America/New_York"]}),
        (GateName.COUNTRY_HOURS, {"rule": "fr.hours"}),
        (GateName.CAP, {"caps": [{"max": 1, "per_seconds": 86_400, "set_by": "campaign", "counted": 1}]}),
        (GateName.ADDRESS, {"found": False}),
        (GateName.TEXT, {"segments": 5}),
        (GateName.AUDIENCE, {"held": [True]}),
        (GateName.HOLDOUT, {"control_bucket": 3, "control_below": 100}),
        (GateName.SHELF_LIFE, {"age_seconds": "long"}),
    ],
)
def test_an_input_that_was_changed_is_found(name, input_):
    decision = stored(decide(BREAD, moment(), NOW))
    was = next(each for each in decision.gates if each.gate is name)
    found = replay(with_gate(decision, name, input={**was.input, **input_}), version_of(BREAD))
    assert found.sameness is Sameness.DIFFERS
    assert [each.name for each in found.gates if each.sameness is Sameness.DIFFERS] == [name]


def test_an_outcome_a_reason_or_a_variant_that_was_changed_is_found():
    decision, version = stored(decide(BREAD, moment(marketing=withdrawn()), NOW)), version_of(BREAD)
    assert replay(decision, version).sameness is Sameness.SAME
    for changes in (
        {"outcome": Outcome.MESSAGE},
        {"reason": Reason.NO_CONSENT},
        {"variant": "a"},
        {"subject": None},
    ):
        assert replay(replace(decision, **changes), version).sameness is Sameness.DIFFERS
    other = with_gate(decision, GateName.CONSENT, reason=Reason.NO_CONSENT)
    assert gate(replay(other, version), GateName.CONSENT).because == "reason"


def test_a_campaign_that_was_changed_is_found():
    decision = stored(decide(BREAD, moment(), NOW))
    changed = version_of(replace(BREAD, shelf_life_seconds=1))
    assert replay(decision, changed).sameness is Sameness.DIFFERS
    forged = replace(changed, content_hash=content_hash(BREAD))
    assert replay(decision, forged).because == "the version's content is not that of its hash"
    assert replay(decision, version_of(replace(BREAD, version=2))).sameness is Sameness.DIFFERS


OLD = {
    GateName.AUDIENCE: {"attributes": ["tier"], "missing": []},
    GateName.CONSENT: {
        "purpose": "marketing",
        "channel": "sms",
        "entry": "e",
        "action": "grant",
        "since": "x",
    },
    GateName.ADDRESS: {"channel": "sms"},
    GateName.COUNTRY_HOURS: {"rule": None},
    GateName.COUNTRY_CAP: {"rule": None},
}
"""As these gates recorded what they asked before all that a verdict rests on was kept."""


def test_a_record_from_before_is_said_to_be_too_short_and_is_no_error():
    campaign = replace(BREAD, audience=GOLD)
    decision = stored(decide(campaign, moment(), NOW))
    old = [replace(each, input=OLD.get(each.gate, each.input), reason=None) for each in decision.gates]
    since = {**OLD[GateName.CONSENT], "since": "2026-11-23T07:55:00+00:00"}
    old = [replace(each, input=since) if each.gate is GateName.CONSENT else each for each in old]
    found = replay(replace(decision, gates=tuple(old)), version_of(campaign))
    assert (found.sameness, found.again) == (Sameness.NOT_ENOUGH_RECORDED, None)
    short = {each.name for each in found.gates if each.sameness is Sameness.NOT_ENOUGH_RECORDED}
    assert short == OLD.keys()
    assert {each.sameness for each in found.gates if each.name not in OLD} == {Sameness.SAME}
    assert gate(found, GateName.ADDRESS).because == "found is not recorded"
    fewer = tuple(each for each in decision.gates if each.gate is not GateName.CART)
    assert (
        replay(replace(decision, gates=fewer), version_of(campaign)).sameness is Sameness.NOT_ENOUGH_RECORDED
    )


@pytest.mark.parametrize(
    "version", [None, version_of(BREAD, frozen_at=None), version_of(BREAD, frozen_at=NOW + timedelta(days=1))]
)
def test_without_a_frozen_version_nothing_can_be_said(version):
    found = replay(stored(decide(BREAD, moment(), NOW)), version)
    assert found.sameness is Sameness.NOT_ENOUGH_RECORDED
    told = replay_json(found)
    assert (told["sameness"], told["replayed"]) == ("not_enough_recorded", None)
    assert told["because"]


def test_a_moment_that_ended_while_it_waited_is_judged_as_of_when_its_gates_were_asked():
    later = replace(BREAD, trigger=Trigger(EventKind.ENTER, ("bakery",), delay_seconds=600))
    held = stored(decide(later, moment(), NOW))
    assert not AT_ONCE & {each.gate for each in held.gates if each.verdict is Verdict.FAIL}
    at = NOW + timedelta(seconds=300)
    ended = replace(held, outcome=Outcome.REFUSED, reason=Reason.EVENT_RETRACTED, at=at, judged_at=NOW)
    assert replay(ended, version_of(later)).sameness is Sameness.SAME
    assert replay(replace(ended, outcome=Outcome.MESSAGE), version_of(later)).sameness is Sameness.DIFFERS
    assert replay(replace(ended, reason=Reason.CAP_REACHED), version_of(later)).sameness is Sameness.DIFFERS
    old = tuple(replace(each, reason=None) for each in ended.gates)
    before = replace(ended, judged_at=None, gates=old)
    assert replay(before, version_of(later)).sameness is Sameness.NOT_ENOUGH_RECORDED


def test_a_replay_shows_nobody_more_than_the_record_does():
    decision = stored(decide(BREAD, moment(recipient=replace(ANA, attributes={"first_name": "Ana"})), NOW))
    told = json.dumps(replay_json(replay(decision, version_of(BREAD))))
    assert "Ana" not in told
    assert '"ana"' not in told
