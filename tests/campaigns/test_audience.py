import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.audience.audience import (
    EVERYONE,
    MAX_CONDITIONS,
    MAX_DEPTH,
    NOBODY,
    attribute_names,
    audience_json,
    matches,
    parse_audience,
)

ANA = {"tier": "gold", "visits": 12, "vip": True, "score": 1.5}


def is_in(raw, attributes=None):
    audience, errors = parse_audience(raw)
    assert errors == ()
    return matches(audience, ANA if attributes is None else attributes)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"attribute": "tier", "in": ["gold", "silver"]}, True),
        ({"attribute": "tier", "in": ["silver"]}, False),
        ({"attribute": "tier", "in": []}, False),
        ({"attribute": "tier", "equals": "gold"}, True),
        ({"attribute": "tier", "equals": "Gold"}, False),
        ({"attribute": "vip", "equals": True}, True),
        ({"attribute": "vip", "equals": 1}, False),
        ({"attribute": "visits", "equals": 12.0}, True),
        ({"attribute": "visits", "at_least": 12}, True),
        ({"attribute": "visits", "at_least": 13}, False),
        ({"attribute": "visits", "at_most": 12}, True),
        ({"attribute": "visits", "at_most": 11.5}, False),
        ({"attribute": "vip", "at_least": 0}, False),
        ({"attribute": "tier", "at_least": 0}, False),
        ({"attribute": "tier", "exists": True}, True),
        ({"attribute": "tier", "exists": False}, False),
        ({"all": []}, True),
        ({"any": []}, False),
        ({"all": [{"attribute": "tier", "equals": "gold"}, {"attribute": "visits", "at_least": 99}]}, False),
        ({"any": [{"attribute": "tier", "equals": "gold"}, {"attribute": "visits", "at_least": 99}]}, True),
        ({"not": {"attribute": "tier", "equals": "gold"}}, False),
        ({"not": {"any": [{"attribute": "tier", "equals": "x"}]}}, True),
    ],
)
def test_each_condition(raw, expected):
    assert is_in(raw) is expected


@pytest.mark.parametrize(
    "test", [{"in": ["gold"]}, {"equals": "gold"}, {"exists": True}, {"at_least": 0}, {"at_most": 0}]
)
def test_a_missing_attribute_does_not_match(test):
    assert is_in({"attribute": "tier", **test}, {}) is False
    assert is_in({"attribute": "tier", **test}, {"tier": None}) is False


def test_only_the_absence_of_an_attribute_can_be_asked_for():
    assert is_in({"attribute": "tier", "exists": False}, {}) is True


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (None, "audience"),
        ([], "audience"),
        ({}, "audience"),
        ({"all": []} | {"any": []}, "audience"),
        ({"all": {}}, "audience"),
        ({"all": [{"attribute": "a", "equals": 1}, 7]}, "audience.all[1]"),
        ({"not": [{"attribute": "a", "equals": 1}]}, "audience.not"),
        ({"attribute": "a"}, "audience"),
        ({"attribute": "a", "equals": 1, "in": [1]}, "audience"),
        ({"attribute": "", "equals": 1}, "audience.attribute"),
        ({"attribute": 3, "equals": 1}, "audience.attribute"),
        ({"attribute": "a", "like": "x"}, "audience.like"),
        ({"attribute": "a", "\ud800": "x"}, "audience"),
        ({"attribute": "a\ud800", "equals": "x"}, "audience.attribute"),
        ({"attribute": "a", "equals": "\0"}, "audience.equals"),
        ({"attribute": "a", "in": "gold"}, "audience.in"),
        ({"attribute": "a", "in": [["gold"]]}, "audience.in"),
        ({"attribute": "a", "in": list(range(101))}, "audience.in"),
        ({"attribute": "a", "equals": None}, "audience.equals"),
        ({"attribute": "a", "exists": "yes"}, "audience.exists"),
        ({"attribute": "a", "at_least": "7"}, "audience.at_least"),
        ({"attribute": "a", "at_most": True}, "audience.at_most"),
    ],
)
def test_what_is_wrong_is_named_and_lets_nobody_in(raw, field):
    audience, errors = parse_audience(raw)
    assert [error.field for error in errors] == [field]
    assert not matches(audience, ANA)


def test_every_error_is_named_at_once():
    _, errors = parse_audience({"any": [{"attribute": "a", "like": 1}, {"attribute": "b", "in": 2}]})
    assert [error.field for error in errors] == ["audience.any[0].like", "audience.any[1].in"]


def test_depth_and_size_are_bounded():
    deep = {"attribute": "a", "exists": True}
    for _ in range(MAX_DEPTH - 1):
        deep = {"not": deep}
    assert parse_audience(deep)[1] == ()
    assert parse_audience({"not": deep})[1]
    for _ in range(5000):
        deep = {"not": deep}
    assert len(parse_audience(deep)[1]) == 1
    leaf = {"attribute": "a", "exists": True}
    assert parse_audience({"all": [leaf] * (MAX_CONDITIONS - 1)})[1] == ()
    assert parse_audience({"all": [leaf] * MAX_CONDITIONS})[1]
    assert len(parse_audience({"all": [{"all": [leaf] * 50}] * 50})[1]) < 3000


def test_everyone_and_nobody():
    assert matches(EVERYONE, {})
    assert not matches(NOBODY, ANA)


scalars = st.one_of(st.text("abc é\N{SNOWMAN}", max_size=5), st.integers(-9, 9), st.booleans())
leaves = st.one_of(
    st.builds(lambda n, v: {"attribute": n, "in": v}, st.sampled_from("abc"), st.lists(scalars, max_size=3)),
    st.builds(lambda n, v: {"attribute": n, "equals": v}, st.sampled_from("abc"), scalars),
    st.builds(lambda n, v: {"attribute": n, "at_least": v}, st.sampled_from("abc"), st.integers(-9, 9)),
    st.builds(lambda n, v: {"attribute": n, "exists": v}, st.sampled_from("abc"), st.booleans()),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda several: {"all": several}, st.lists(inner, max_size=3)),
        st.builds(lambda several: {"any": several}, st.lists(inner, max_size=3)),
        st.builds(lambda one: {"not": one}, inner),
    ),
    max_leaves=6,
)


@given(conditions, st.dictionaries(st.sampled_from("abc"), scalars))
def test_reading_and_writing_agree_and_not_turns_it_round(raw, attributes):
    audience, errors = parse_audience(raw)
    if errors:  # deeper than allowed
        assert audience == NOBODY
        return
    assert audience_json(audience) == raw
    assert attribute_names(audience) <= set("abc")
    negated, too_deep = parse_audience({"not": raw})
    if not too_deep:
        assert matches(negated, attributes) is not matches(audience, attributes)
