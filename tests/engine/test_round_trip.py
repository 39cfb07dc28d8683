import pytest
from redis.exceptions import RedisError, ResponseError

from engine.live import Live
from engine.round_trip import ask, raised


def test_each_command_gets_its_own_answer_and_an_error_stands_in_its_place(live: Live):
    answers = ask(
        live.client,
        [("SET", "a", "one"), ("LPUSH", "a", 1), ("GET", "a"), ("XADD", "log", "1-1", "k", b"\xff\x00")],
    )
    assert (answers[0], answers[2], answers[3]) == (b"OK", b"one", b"1-1")
    assert isinstance(answers[1], ResponseError)
    with pytest.raises(ResponseError):
        raised(answers)
    assert raised(answers[2:]) == [b"one", b"1-1"]


def test_a_large_answer_is_read_whole(live: Live):
    text = bytes(range(256)) * 10_000
    assert ask(live.client, [("SET", "big", text), *[("GET", "big")] * 3])[1:] == [text] * 3


def test_after_a_lost_connection_the_next_round_trip_is_not_given_the_answers_of_the_last(live: Live):
    ask(live.client, [("SET", "a", "one")])
    with pytest.raises(RedisError):
        ask(live.client, [("GET", "a"), ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"), ("GET", "a")])
    assert ask(live.client, [("SET", "b", "two"), ("GET", "b")]) == [b"OK", b"two"]
