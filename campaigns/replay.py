"""Judges a decision again from its record and the version of the campaign that it was made by: each gate by its own rule, from what
it recorded. Nothing else is asked, and nothing is changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from campaigns.campaign import Campaign, CampaignState, campaign_from_json, speaking
from campaigns.decide import AT_ONCE, Decision, Outcome, conclude, gate_of, is_asked
from campaigns.experiments.experiment import draw_variant
from campaigns.gates import Gate, GateName, Reason, Verdict
from campaigns.lifecycle.version import Version, hash_of
from campaigns.verdicts import Case, judge


class Sameness(StrEnum):
    """How what is judged again compares with what was recorded."""

    SAME = "same"
    DIFFERS = "differs"
    NOT_ENOUGH_RECORDED = "not_enough_recorded"


UNJUDGED_ENDS = (Reason.NOT_JUDGED, Reason.EVENT_RETRACTED, Reason.CAMPAIGN_NOT_ACTIVE)
"""How a moment that was held may end without being judged again."""


@dataclass(frozen=True, slots=True)
class GateAgain:
    """One gate, as it was recorded (None: it was not) and as it is judged again (None: it cannot be). `because` says what is
    missing or differs.
    """

    name: GateName
    was: Gate | None
    again: Gate | None
    sameness: Sameness
    because: str | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """A decision that was judged again. Of the whole `again` is None where a gate cannot be judged; `because` names what
    else is missing or differs.
    """

    decision: Decision
    gates: tuple[GateAgain, ...]
    again: tuple[Outcome, Reason] | None
    sameness: Sameness
    because: str | None = None


def replay(decision: Decision, version: Version | None) -> Replay:
    """Judge again. `version` is the one that the decision names, None where it is not kept."""
    missing, differs = _of_version(decision, version)
    if version is None or missing or differs:
        return _without_campaign(decision, missing or differs or "", differs=bool(differs))
    campaign = campaign_of_version(version)
    variant = draw_variant(campaign.experiment, decision.subject) if decision.subject else None
    drawn = variant.name if variant else None
    at = decision.judged_at or decision.at
    case = Case(speaking(campaign, drawn), decision.subject, decision.geofence, at)
    kept = {gate.gate: gate for gate in decision.gates}
    gates = tuple(_again(name, kept.get(name), case, test=decision.test) for name in GateName)
    found = {each.sameness for each in gates}
    again = None
    if Sameness.NOT_ENOUGH_RECORDED not in found and all(each.again for each in gates):
        again = conclude(
            {
                each.name: each.again.reason or Reason.OK
                for each in gates
                if each.again and each.again.verdict is not Verdict.SKIP
            }
        )
    because = None
    if drawn != decision.variant:
        because = f"variant: {drawn} is drawn"
    elif again is not None and not _comes_to(decision, again):
        because = f"outcome: {again[0]}, {again[1]}"
    if because or Sameness.DIFFERS in found:
        return Replay(decision, gates, again, Sameness.DIFFERS, because)
    return Replay(decision, gates, again, Sameness.SAME if again else Sameness.NOT_ENOUGH_RECORDED)


def campaign_of_version(version: Version) -> Campaign:
    """The campaign as the version says it; its state is not in it, the gate that asks for it recorded that."""
    named = {"id": version.campaign, "version": version.number, "state": CampaignState.ACTIVE}
    return campaign_from_json({**version.content, **named})


def _of_version(decision: Decision, version: Version | None) -> tuple[str | None, str | None]:
    """What is missing, or differs, of the campaign's version."""
    at = decision.judged_at or decision.at
    if decision.version is None or version is None:
        return "the campaign's version is not kept", None
    if (version.campaign, version.number) != (decision.campaign, decision.version):
        return None, "it is not the version that the decision names"
    if hash_of(version.content) != version.content_hash:
        return None, "the version's content is not that of its hash"
    if version.frozen_at is None or version.frozen_at > at:
        return "the version could still be written over when it was decided", None
    if decision.judged_at is None and _ended_unjudged(decision):
        return "it was held and ended unjudged; when its gates were asked is not kept", None
    return None, None


def _ended_unjudged(decision: Decision) -> bool:
    """Whether only its end says no: the gates said that it waits. Of those from before gates told their reasons; later ones
    keep when they were asked.
    """
    failed = {gate.gate: gate for gate in decision.gates if gate.verdict is Verdict.FAIL}
    delay = failed.get(GateName.DELAY)
    held = delay is not None and delay.reason is None and not failed.keys() & AT_ONCE
    return held and decision.outcome is Outcome.REFUSED and decision.reason in UNJUDGED_ENDS


def _comes_to(decision: Decision, again: tuple[Outcome, Reason]) -> bool:
    if again == (decision.outcome, decision.reason):
        return True
    ended = decision.judged_at is not None and decision.reason in UNJUDGED_ENDS
    return ended and decision.outcome is Outcome.REFUSED and again[0] is Outcome.HELD


def _without_campaign(decision: Decision, because: str, *, differs: bool) -> Replay:
    kept = {gate.gate: gate for gate in decision.gates}
    sameness = Sameness.DIFFERS if differs else Sameness.NOT_ENOUGH_RECORDED
    gates = tuple(GateAgain(name, kept.get(name), None, sameness, because) for name in GateName)
    return Replay(decision, gates, None, sameness, because)


class NotRecorded(KeyError):
    """A gate is to be judged by something that its record does not hold."""


class _Told(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        raise NotRecorded(name)


def _again(name: GateName, was: Gate | None, case: Case, *, test: bool) -> GateAgain:
    if was is None:
        return GateAgain(
            name, None, None, Sameness.NOT_ENOUGH_RECORDED, "the gate is younger than the decision"
        )
    if not is_asked(name, case.subject, test=test):
        skipped = Gate(name, Verdict.SKIP, {})
        same = was.verdict is Verdict.SKIP
        return GateAgain(name, was, skipped, *_compared(same, "it is not to be asked"))
    if was.verdict is Verdict.SKIP:
        return GateAgain(name, was, None, Sameness.DIFFERS, "it is to be asked")
    try:
        again = gate_of(name, judge(name, _Told(was.input), case))
    except NotRecorded as missing:
        return GateAgain(name, was, None, Sameness.NOT_ENOUGH_RECORDED, f"{missing.args[0]} is not recorded")
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as wrong:
        # What is recorded is no secret, but what stands in its place may be anything: the kind of mistake alone.
        return GateAgain(name, was, None, Sameness.DIFFERS, f"it cannot be read ({type(wrong).__name__})")
    because = _difference(was, again)
    return GateAgain(name, was, again, *_compared(because is None, because))


def _compared(same: bool, because: str | None) -> tuple[Sameness, str | None]:  # noqa: FBT001
    return (Sameness.SAME, None) if same else (Sameness.DIFFERS, because)


def _difference(was: Gate, again: Gate) -> str | None:
    """What differs: the verdict, its reason, or what the campaign and the rules say to what was told."""
    if was.verdict is not again.verdict:
        return "verdict"
    if was.reason is not None and was.reason is not again.reason:
        return "reason"
    input_ = again.input
    other = [name for name, value in was.input.items() if name not in input_ or input_[name] != value]
    return f"input.{other[0]}" if other else None


def replay_json(found: Replay) -> dict[str, Any]:
    """A replay as the API writes it."""
    decision, again = found.decision, found.again
    return {
        "decision": decision.id,
        "campaign": decision.campaign,
        "version": decision.version,
        "sameness": found.sameness.value,
        "because": found.because,
        "recorded": {"outcome": decision.outcome.value, "reason": decision.reason.value},
        "replayed": {"outcome": again[0].value, "reason": again[1].value} if again else None,
        "gates": [_gate_again_json(each) for each in found.gates],
    }


def _gate_again_json(each: GateAgain) -> dict[str, Any]:
    return {
        "gate": each.name.value,
        "sameness": each.sameness.value,
        "because": each.because,
        "recorded": _answer_json(each.was),
        "replayed": _answer_json(each.again),
    }


def _answer_json(gate: Gate | None) -> Mapping[str, Any] | None:
    if gate is None:
        return None
    return {"verdict": gate.verdict.value, "reason": gate.reason.value if gate.reason else None}
