"""Messages through a provider that fails, senders that are killed; `python -m tests.service.faults` does it at length."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.service.faults import Storm, weather


def test_whatever_fails_no_message_goes_twice_and_none_is_lost(tmp_path: Path, tell: Callable[[str], None]):
    storm = Storm(messages=80, kills=1, senders=1, opt_outs=6, patience_seconds=1, seed=3)
    outcome = weather(storm, tmp_path, f"sqlite:///{tmp_path / 'records.sqlite'}")
    assert outcome.is_right, asdict(outcome)
    assert outcome.held_by_provider > 40
    tell(f"sending through faults: {asdict(outcome)}")
