from dataclasses import replace

import pytest

from campaigns.audience.audience import audience_json, behaviours, list_names, matches, parse_audience
from campaigns.audience.behaviour import Act, Behaviour, OnList, Past

BEEN = Behaviour(Act.VISITED, tags=("bakery",), since_seconds=30 * 86_400, least=2)
GOT = Behaviour(Act.RECEIVED, campaign="bread", since_seconds=3600, least=0, most=0)


def faults(raw) -> list[str]:
    return [error.field for error in parse_audience(raw)[1]]


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ({"visited": {"tags": ["bakery"], "since_days": 30, "count": {"min": 2}}}, BEEN),
        ({"visited": {"geofences": ["b", "b"]}}, Behaviour(Act.VISITED, geofences=("b",))),
        ({"visited": {"any": True, "count": {"min": 1, "max": 3}}}, Behaviour(Act.VISITED, any=True, most=3)),
        ({"received": {"campaign": "bread", "since_seconds": 3600, "count": {"max": 0}}}, GOT),
        ({"received": {}}, Behaviour(Act.RECEIVED)),
        ({"list": "vip"}, OnList("vip")),
    ],
)
def test_a_condition_on_the_past_is_read_and_written(raw, read):
    assert parse_audience(raw) == (read, ())
    assert parse_audience(audience_json(read)) == (read, ())


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        ({"visited": {}}, ["audience.visited"]),
        ({"visited": []}, ["audience.visited"]),
        ({"visited": {"any": True, "tags": ["a"]}}, ["audience.visited"]),
        ({"visited": {"any": 1}}, ["audience.visited.any", "audience.visited"]),
        ({"visited": {"tags": ["a"] * 101}}, ["audience.visited.tags", "audience.visited"]),
        ({"visited": {"tags": ["a\0"]}}, ["audience.visited.tags", "audience.visited"]),
        ({"visited": {"any": True, "campaign": "x"}}, ["audience.visited.campaign"]),
        ({"visited": {"any": True, "since_days": 401}}, ["audience.visited.since_days"]),
        ({"visited": {"any": True, "since_days": 1, "since_seconds": 1}}, ["audience.visited.since_days"]),
        ({"visited": {"any": True, "since_seconds": True}}, ["audience.visited.since_seconds"]),
        ({"visited": {"any": True, "count": 3}}, ["audience.visited.count"]),
        ({"visited": {"any": True, "count": {"min": 3, "max": 2}}}, ["audience.visited.count.max"]),
        ({"received": {"campaign": 5}}, ["audience.received.campaign"]),
        ({"received": {"x\0": 5}}, ["audience.received"]),
        ({"list": ""}, ["audience"]),
        ({"list": "a", "not": {}}, ["audience"]),
        ({"all": [{"visited": {"any": True, "x": 1}}]}, ["audience.all[0].visited.x"]),
    ],
)
def test_what_is_wrong_with_it_is_named(raw, fields):
    assert faults(raw) == fields


def test_the_past_is_asked_under_all_any_and_not():
    audience, _ = parse_audience(
        {"all": [audience_json(BEEN), {"not": {"list": "staff"}}, audience_json(GOT)]}
    )
    assert behaviours(audience) == {BEEN, GOT}
    assert list_names(audience) == {"staff"}
    known = Past({BEEN: 2, GOT: 0}, frozenset())
    assert matches(audience, {}, known)
    assert not matches(audience, {}, replace(known, times={BEEN: 1, GOT: 0}))
    assert not matches(audience, {}, replace(known, times={BEEN: 2, GOT: 1}))
    assert not matches(audience, {}, replace(known, lists=frozenset({"staff"})))


def test_where_the_past_was_not_looked_up_nobody_is_in_an_audience_that_asks_about_it():
    for raw in (
        {"not": audience_json(BEEN)},
        {"any": [{"all": []}, audience_json(GOT)]},
        {"not": {"list": "a"}},
    ):
        audience, _ = parse_audience(raw)
        assert not matches(audience, {})
    assert matches(parse_audience({"not": audience_json(BEEN)})[0], {}, Past({BEEN: 0}))
