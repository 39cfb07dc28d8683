"""Last fixes by column against remembering them one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.passers import COLUMNS, KEPT_SECONDS, Passers

fixes = st.lists(
    st.tuples(st.sampled_from(["ana", "bob", "carl"]), st.integers(0, 30)), min_size=1, max_size=8
)


def columns(batch: list[tuple[str, float]], received_at: float) -> np.ndarray:
    rows = [(at, 2.0 + at / 1e4, 48.0, 10.0, received_at) for _, at in batch]
    return np.array(rows).T.reshape(len(COLUMNS), len(batch))


@given(st.lists(fixes, min_size=1, max_size=6))
def test_each_fix_is_told_the_one_before_it(batches):
    passers, last = Passers(), dict[str, float]()
    for batch in batches:
        before = passers.take([name for name, _ in batch], columns(batch, 30.0))[0]
        held = dict(last)
        for name, at in batch:
            last[name] = max(last.get(name, at), at)
        for row, (name, at) in enumerate(batch):
            same = [other for other_name, other in batch if other_name == name and other < at]
            ties = [other for other_name, other in batch if other_name == name].count(at)
            expected = max(same) if same else held.get(name)
            if ties == 1:
                known = expected is not None and expected < at
                assert np.isnan(before[row]) if not known else before[row] == expected


def test_nobody_knows_the_way_after_a_long_silence():
    passers = Passers()
    passers.take(["ana"], columns([("ana", 0.0)], 0.0))
    late = KEPT_SECONDS + 1.0
    assert np.isnan(passers.take(["ana"], columns([("ana", late)], late))).all()


def test_a_phone_that_is_forgotten_has_no_last_fix():
    passers = Passers()
    passers.take(["ana", "bob"], columns([("ana", 0.0), ("bob", 0.0)], 0.0))
    passers.forget("ana")
    passers.forget("nobody")
    before = passers.take(["ana", "bob"], columns([("ana", 10.0), ("bob", 10.0)], 10.0))
    assert np.isnan(before[:, 0]).all()
    assert before[0, 1] == 0.0


def test_there_is_room_for_many_phones():
    passers = Passers()
    batch = [(f"phone-{number}", 0.0) for number in range(5000)]
    names = [name for name, _ in batch]
    passers.take(names, columns(batch, 0.0))
    assert (passers.take(names, columns([(name, 5.0) for name in names], 5.0))[0] == 0.0).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 900))
def test_crowds_that_come_and_go_are_remembered_as_a_dictionary_would(seed, size):
    random = np.random.default_rng(seed)
    passers, last = Passers(), dict[str, float]()
    for number in range(12):
        names = [f"phone-{phone}" for phone in random.choice(3000, size, replace=False).tolist()]
        at = float(number)
        before = passers.take(names, columns([(name, at) for name in names], at))[0]
        expected = [last.get(name, np.nan) for name in names]
        assert np.array_equal(before, expected, equal_nan=True)
        last |= dict.fromkeys(names, at)
        for name in names[:3]:
            passers.forget(name)
            last.pop(name)
            assert passers.last(name) is None
        assert all(passers.last(name) == [last[name], *passers.last(name)[1:]] for name in names[3:9])
