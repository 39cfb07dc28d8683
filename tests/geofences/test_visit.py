from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from geofences.event import EventKind
from geofences.visit import RETURN_WITHIN, STAY_LIMIT, Crossing, latest, stays, visits
from tests.conftest import MONDAY_NINE


def at(minutes: float):
    return MONDAY_NINE + timedelta(minutes=minutes)


def crossings(*said: tuple[str, float]) -> list[Crossing]:
    """`("enter", 5)`: entered five minutes after nine; ids tell both."""
    return [Crossing(f"{kind}-{minute:g}", EventKind(kind), at(minute)) for kind, minute in said]


def of_one_phone(*said: tuple[str, float]) -> list[tuple[str, float, float | None]]:
    found = visits("bakery", stays(crossings(*said)))
    return [
        (each.id, minutes(each.entered_at), minutes(each.left_at) if each.left_at else None) for each in found
    ]


def minutes(when) -> float:
    return (when - MONDAY_NINE).total_seconds() / 60


def test_a_visit_lasts_from_enter_to_exit_to_the_minute():
    assert of_one_phone(("enter", 1.7), ("exit", 20.2)) == [("enter-1.7", 1, 21)]
    assert of_one_phone(("enter", 1.7)) == [("enter-1.7", 1, None)]
    assert of_one_phone(("exit", 3)) == []


def test_the_order_in_which_events_are_told_is_no_matter():
    assert of_one_phone(("exit", 90), ("enter", 60), ("exit", 10), ("enter", 0)) == [
        ("enter-0", 0, 11),
        ("enter-60", 60, 91),
    ]


def test_who_is_back_at_once_never_left():
    assert of_one_phone(("enter", 0), ("exit", 10), ("enter", 15), ("exit", 20)) == [("enter-0", 0, 21)]
    assert len(of_one_phone(("enter", 0), ("exit", 10), ("enter", 17), ("exit", 20))) == 2


def test_a_phone_that_fell_silent_and_is_met_inside_again_is_on_one_visit_until_the_limit():
    assert of_one_phone(("enter", 0), ("enter", 120), ("exit", 130)) == [("enter-0", 0, 131)]
    assert of_one_phone(("enter", 0), ("enter", 300), ("exit", 330)) == [
        ("enter-0", 0, None),
        ("enter-300", 300, 331),
    ]
    [one] = visits("bakery", stays(crossings(("enter", 0))))
    assert one.covers(MONDAY_NINE + STAY_LIMIT)
    assert not one.covers(MONDAY_NINE + STAY_LIMIT + timedelta(minutes=1))


def test_two_phones_of_one_shopper_make_one_visit():
    first, second = stays(crossings(("enter", 0), ("exit", 9))), stays(crossings(("enter", 2)))
    [visit] = visits("bakery", [*second, *first])
    assert (visit.id, visit.left_at) == ("enter-0", None), "one of them is still inside"
    assert latest([visit], at(30)) == visit
    assert latest([visit], at(-1)) is None


@given(
    st.lists(st.tuples(st.sampled_from(["enter", "exit"]), st.integers(0, 3000)), max_size=30, unique=True)
)
def test_visits_of_a_shopper_never_touch_and_each_begins_with_an_enter(said):
    found = visits("bakery", stays(crossings(*said)))
    assert all(one.until + RETURN_WITHIN < two.entered_at for one, two in pairwise(found))
    entered = {f"enter-{minute}" for kind, minute in said if kind == "enter"}
    assert {each.id for each in found} <= entered
    assert bool(found) == bool(entered)
    assert all(any(visit.covers(at(int(each[6:]))) for visit in found) for each in entered)
