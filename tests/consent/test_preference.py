from itertools import chain, combinations

from consent.entry import Action, Channel
from consent.preference import CHOICES, allowed, changes
from tests.consent.cast import grant, minute, withdraw

NAMES = [choice.name for choice in CHOICES]


def subsets(names):
    return [
        set(some) for some in chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))
    ]


def test_every_purpose_and_channel_is_a_choice():
    assert NAMES == ["location", "marketing-sms", "marketing-push", "profiling", "cart"]


def test_what_stands_is_named():
    entries = (
        grant(minute(0)),
        grant(minute(1), channel=Channel.PUSH),
        withdraw(minute(2), channel=Channel.PUSH),
    )
    assert allowed(entries, minute(3)) == {"marketing-sms"}


def test_only_what_was_touched_changes_and_ends_as_it_was_chosen():
    names = NAMES[:3]
    for shown in subsets(names):
        for chosen in subsets(names):
            for stands in subsets(names):
                after = set(stands)
                for change in changes(shown, chosen, stands):
                    act = after.add if change.action is Action.GRANT else after.discard
                    act(change.choice.name)
                for name in names:
                    touched = (name in shown) != (name in chosen)
                    assert (name in after) == ((name in chosen) if touched else (name in stands))


def test_a_page_from_before_a_stop_does_not_grant_anew():
    assert list(changes({"marketing-sms"}, {"marketing-sms", "location"}, set())) == list(
        changes(set(), {"location"}, set())
    )


def test_withdrawals_come_first():
    made = list(changes({"cart"}, {"location"}, {"cart"}))
    assert [change.action for change in made] == [Action.WITHDRAW, Action.GRANT]
