"""Calls out to URLs that others gave us, over TCP and TLS to a real server of our own."""

import socket
import ssl
import threading

import pytest

from engine.destination import Destinations, Targets
from engine.outbound import ANSWER_LIMIT_BYTES, CallFailed, CallFailure, Outbound, resolve
from tests.support.receiver import Reply, receiving

NAME = "hooks.example.org"
DEVELOPMENT = Destinations(Targets.ANY)


class Names:
    """A resolver that tells what it is told to tell, one answer after the other; the last one stands."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __call__(self, host, port):
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def failure_of(outbound, url):
    with pytest.raises(CallFailed) as caught:
        outbound.post(url, b"{}", {})
    assert url not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "169.254.169.254", "::ffff:10.0.0.1", "10.0.0.1", "fe80::1%eth0"]
)
def test_a_name_that_stands_for_a_private_address_is_not_called(address):
    with receiving() as receiver:
        outbound = Outbound(Destinations(ports=frozenset({receiver.port})), Names(["93.184.216.34", address]))
        failure = failure_of(outbound, f"https://{NAME}:{receiver.port}/")
        assert (failure.failure, failure.heard, failure.permanent) == (
            CallFailure.REFUSED_ADDRESS,
            False,
            True,
        )
        assert not receiver.heard


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "127.0.0.1", "[::1]", "169.254.169.254"])
def test_numbers_that_resolvers_take_for_this_machine_are_not_looked_up(host):
    names = Names(["93.184.216.34"])
    assert failure_of(Outbound(Destinations(), names), f"https://{host}/").failure is CallFailure.REFUSED_URL
    assert not names.asked
    # and the address behind the number would be caught as well, were the URL taken
    assert all(Destinations().refuses([each]) for each in resolve("2130706433", 443))


def test_a_name_is_looked_up_once_and_what_was_checked_is_what_is_called(tmp_path):
    """A name that is rebound between the look and the call brings nobody anywhere: there is no second look."""
    with receiving(tmp_path, NAME) as receiver:
        trust = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        names = Names(["127.0.0.1"], ["169.254.169.254"])
        outbound = Outbound(DEVELOPMENT, names, trust)
        answer = outbound.post(f"https://{NAME}:{receiver.port}/in?a=b", b"{}", {"webhook-id": "one"})
        assert (answer.status, answer.taken, names.asked) == (200, True, [NAME])
        [heard] = receiver.heard
        assert (heard.path, heard.body, heard.headers["webhook-id"]) == ("/in?a=b", b"{}", "one")
        assert heard.headers["host"] == f"{NAME}:{receiver.port}"
        assert receiver.names == [NAME]
        strict = Outbound(Destinations(ports=frozenset({receiver.port})), names, trust)
        assert failure_of(strict, f"https://{NAME}:{receiver.port}/").failure is CallFailure.REFUSED_ADDRESS


def test_a_certificate_must_be_of_the_name_and_not_of_the_address(tmp_path):
    with receiving(tmp_path, "127.0.0.1") as receiver:
        trust = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        outbound = Outbound(DEVELOPMENT, Names(["127.0.0.1"]), trust)
        failure = failure_of(outbound, f"https://{NAME}:{receiver.port}/")
        assert (failure.failure, failure.heard) == (CallFailure.NO_CONNECTION, False)
        assert not receiver.heard


def test_a_redirect_is_not_followed_and_is_no_success():
    with receiving() as receiver:
        receiver.reply = lambda _: Reply(307, {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"})
        answer = Outbound(DEVELOPMENT, Names(["127.0.0.1"])).post(
            f"http://{NAME}:{receiver.port}/", b"{}", {}
        )
        assert (answer.status, answer.taken, len(receiver.heard)) == (307, False, 1)


def test_a_long_answer_is_cut_and_a_zipped_one_is_not_unzipped():
    with receiving() as receiver:
        receiver.reply = lambda _: Reply(200, {"Content-Encoding": "gzip"}, b"x" * (4 * ANSWER_LIMIT_BYTES))
        answer = Outbound(DEVELOPMENT, Names(["127.0.0.1"])).post(
            f"http://{NAME}:{receiver.port}/", b"{}", {}
        )
        assert (answer.status, answer.whole, len(answer.body)) == (200, False, ANSWER_LIMIT_BYTES)
        assert receiver.heard[0].headers["accept-encoding"] == "identity"


def test_another_address_of_the_name_is_tried_where_the_first_does_not_answer():
    with receiving() as receiver:
        outbound = Outbound(DEVELOPMENT, Names(["127.0.0.2", "127.0.0.1"]))  # nobody listens on the first
        assert outbound.post(f"http://{NAME}:{receiver.port}/", b"{}", {}).taken
        assert len(receiver.heard) == 1


def test_who_dribbles_an_answer_is_left_at_the_deadline():
    """Each byte comes in time, the answer as a whole does not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def dribble():
            connection, _ = server.accept()
            with connection:
                while not stop.wait(0.02):
                    try:
                        connection.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=dribble)
        thread.start()
        outbound = Outbound(DEVELOPMENT, Names(["127.0.0.1"]), timeout_seconds=0.3)
        failure = failure_of(outbound, f"http://{NAME}:{server.getsockname()[1]}/")
        stop.set()
        thread.join()
    assert failure.failure in (CallFailure.TIMEOUT, CallFailure.BROKEN_OFF)
    assert failure.heard


def test_what_kept_a_call_from_being_answered_is_told():
    def unknown(host, port):
        raise socket.gaierror(-2, "no such name")

    def slow(host, port):
        threading.Event().wait(0.5)
        return ["127.0.0.1"]

    with receiving() as receiver:
        receiver.reply = lambda _: Reply(0)
        url = f"http://{NAME}:{receiver.port}/"
        told = [
            failure_of(Outbound(DEVELOPMENT, unknown), url),
            failure_of(Outbound(DEVELOPMENT, slow, timeout_seconds=0.05), url),
            failure_of(Outbound(DEVELOPMENT, Names(["127.0.0.2"])), url),
            failure_of(Outbound(DEVELOPMENT, Names(["127.0.0.1"])), url),
        ]
    assert [(each.failure, each.heard) for each in told] == [
        (CallFailure.UNKNOWN_HOST, False),
        (CallFailure.TIMEOUT, False),
        (CallFailure.NO_CONNECTION, False),
        (CallFailure.BROKEN_OFF, True),
    ]
