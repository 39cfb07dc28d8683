import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.doors import strict_json
from engine.doors.problem import Problem

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_what_is_json_comes_back_as_it_was(value):
    assert strict_json.loads(json.dumps(value).encode()) == value


@given(st.binary(max_size=40))
def test_nothing_but_a_value_or_a_problem_comes_of_any_bytes(body):
    try:
        strict_json.loads(body)
    except Problem as problem:
        assert problem.status in (400, 422)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b'{"a": {"b": [1, NaN]}}', 422, "a.b[1]"),
        (b'{"a": Infinity}', 422, "a"),
        (b'{"a": 1e999}', 422, "a"),
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', 422, "b.c"),
        (b'{"a": "\\ud800"}', 422, "a"),
        (b'{"a": 1', 400, None),
        (b"\xff", 400, None),
        (b"[" * 100_000, 400, None),
        (b"[" * 70 + b"]" * 70, 422, "[0]" * 65),
        (b"1" * 5000, 400, None),
    ],
)
def test_what_breaks_the_contract_is_named(body, status, field):
    with pytest.raises(Problem) as caught:
        strict_json.loads(body)
    assert caught.value.status == status
    assert [each.field for each in caught.value.errors] == ([field] if field else [])
