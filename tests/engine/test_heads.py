"""What a head says is remembered for the same bytes alone, within limits."""

import pytest

from engine.doors.heads import HEAD_LIMIT_BYTES, HEADS_LIMIT, Head, Heads
from engine.doors.web import Caller
from engine.signals import SignalKind


def a_head(length: int = 2) -> Head:
    return Head(SignalKind.PINGS, Caller.of(b"Bearer key"), length)


def raw(more: str = "", body: bytes = b"{}") -> bytes:
    return f"POST /v1/pings HTTP/1.1\r\n{more}\r\n\r\n".encode() + body


@pytest.fixture
def heads() -> Heads:
    heads = Heads()
    heads.remember(raw("A: b"), a_head())
    return heads


def test_the_same_head_is_found_with_another_body(heads: Heads):
    assert heads.find(raw("A: b", b"[]")) == (a_head(), b"[]")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        raw("A: c"),
        raw("a: b"),
        raw("A: b", b"{"),
        raw("A: b", b"{}P"),
        raw("A: b")[1:],
        b"\r\n" + raw("A: b"),
    ],
)
def test_nothing_else_is(heads: Heads, data: bytes):
    assert heads.find(data) is None


def test_all_are_forgotten_in_time_though_nothing_new_comes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.doors.heads.KEPT_SECONDS", 0.0)
    heads = Heads()
    heads.remember(raw("A: b"), a_head())
    assert heads.find(raw("A: b")) is None
    assert len(heads) == 0


def test_only_what_ends_where_it_should_is_remembered():
    heads = Heads()
    heads.remember(raw("A: b", b"{}{}"), a_head())
    heads.remember(b"\r\n\r\n" + raw("A: b"), a_head())
    heads.remember(raw("A: " + "b" * HEAD_LIMIT_BYTES), a_head())
    assert len(heads) == 0


def test_no_more_are_kept_than_the_limit():
    heads = Heads()
    for number in range(HEADS_LIMIT + 5):
        heads.remember(raw(f"A: {number}"), a_head())
    assert len(heads) == 5
