import msgspec
import pytest
from redis.exceptions import NoScriptError, RedisError, ResponseError

from engine import ahead as calling
from engine.ahead import Ahead, Part, packed_texts
from engine.live import (
    Live,
    commit_keys,
    device_prefix,
    due_key,
    gate_edits_key,
    gate_key,
    lease_key,
)

DEVICE = "ana-phone"


def close_gate(ahead: Ahead, partition: int, verdict: str) -> None:
    keys = (gate_key(partition), gate_edits_key(partition), due_key(partition), device_prefix(partition))
    ahead.call("gate", [(keys, (verdict, DEVICE))])


def closed_and_heard(ahead: Ahead) -> None:
    close_gate(ahead, 0, "0")
    ahead.hear()


def fetch(ahead: Ahead, partition: int) -> None:
    keys = (gate_key(partition), gate_edits_key(partition), device_prefix(partition))
    lists = [msgspec.msgpack.encode(each) for each in ([DEVICE], [], [])]
    ahead.call("fetch", [(keys, (b"0", *lists))])


def commit_of(partition: int, state: bytes) -> Part:
    """One state, and no entry."""
    return commit_keys(partition), packed_texts(
        ["mine", "0-0", "0-0", 0, "0", 100, 60_000, 60_000, 1, DEVICE, state, ""]
    )


def test_answers_come_in_the_order_of_the_calls_each_of_which_sees_what_went_before(live: Live):
    ahead = live.ahead("gate", "fetch")
    for verdict in ("1", "0", "1", "0"):
        close_gate(ahead, 0, verdict)
        fetch(ahead, 0)
    heard = [ahead.hear() for _ in range(8)]
    assert heard[::2] == [[1]] * 4
    assert [answer[:2] for [answer] in heard[1::2]] == [[b"0", b""], [b"1", b"0"], [b"1", b"2"], [b"2", b"0"]]
    ahead.drop()


def test_an_error_stands_in_its_place(live: Live):
    live.client.set(gate_key(1), "no hash")
    ahead = live.ahead("gate", "fetch")
    close_gate(ahead, 1, "1")
    close_gate(ahead, 2, "1")
    [wrong], [right] = ahead.hear(), ahead.hear()
    assert isinstance(wrong, ResponseError)
    assert right == 1
    ahead.drop()


def test_what_is_dropped_is_not_taken_for_the_answer_to_what_comes_after(live: Live):
    ahead = live.ahead("gate", "fetch")
    close_gate(ahead, 0, "1")
    fetch(ahead, 0)
    ahead.drop()
    close_gate(ahead, 3, "1")
    assert ahead.hear() == [1]
    ahead.drop()


def test_a_lost_connection_and_a_server_that_forgot_the_scripts_are_errors_once(live: Live):
    ahead = live.ahead("gate")
    close_gate(ahead, 0, "1")
    assert ahead.hear() == [1]
    live.client.execute_command("CLIENT", "KILL", "TYPE", "normal")
    with pytest.raises(RedisError):
        closed_and_heard(ahead)  # found when it is sent, or when its answer is waited for
    close_gate(ahead, 0, "0")
    assert ahead.hear() == [1]
    live.client.script_flush()
    close_gate(ahead, 0, "1")
    [answer] = ahead.hear()
    assert isinstance(answer, NoScriptError)
    ahead.drop()
    close_gate(ahead, 0, "1")
    assert ahead.hear() == [1]
    ahead.drop()


def test_lua_reads_texts_of_any_bytes(live: Live):
    words: list[str | bytes | int] = ["a", "é", 12, b"", bytes(range(256)), b"x" * 70_000]
    script = "local list = cmsgpack.unpack(ARGV[1]); list[#list + 1] = #list; return list"
    assert live.client.eval(script, 0, packed_texts(words)) == [
        b"a",
        "é".encode(),
        b"12",
        *words[3:],
        len(words),
    ]


def test_parts_that_are_too_long_together_go_out_apart_and_are_answered_in_order(live: Live, monkeypatch):
    monkeypatch.setattr(calling, "AS_ONE_BYTES", 600)
    partitions = range(live.partitions)
    for partition in partitions:
        live.client.set(lease_key(partition), "mine")
    ahead = live.ahead("commit")
    heard, runs = [], []
    for lengths in ((700, 10, 10, 500), (10, 10, 10, 10)):
        live.client.config_resetstat()
        ahead.call_as_one(
            "commit",
            [commit_of(each, b"x" * length) for each, length in zip(partitions, lengths, strict=True)],
        )
        heard.append(ahead.hear())
        runs.append(live.client.info("commandstats")["cmdstat_evalsha"]["calls"])
        live.client.set(lease_key(2), "another's")
    assert heard == [[[], [], [], []], [[], [], 0, []]]
    assert runs == [3, 1]
    assert [live.client.strlen(device_prefix(each) + DEVICE) for each in partitions] == [10, 10, 10, 10]
    ahead.drop()


def test_a_connection_that_was_closed_while_idle_is_replaced(live: Live):
    """A worker may ask ahead for the first time after hours in which a balancer has closed what was idle."""
    ahead = calling.AheadOfServer(live.client, {})
    ahead.order([("CLIENT", "ID")])
    [first] = ahead.hear()
    ahead.drop_if_over()
    ahead.order([("CLIENT", "ID")])
    assert ahead.hear() == [first]
    assert live.client.client_kill_filter(_id=first) == 1
    ahead.drop_if_over()
    ahead.order([("CLIENT", "ID")])
    [second] = ahead.hear()
    assert second != first
    ahead.drop()
