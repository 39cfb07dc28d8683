"""Many commands to one server in one round trip. A client's pipeline spends some ten microseconds on each command
whatever it carries; these are packed and read by hiredis directly, on a connection of the client's own pool.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Any

from hiredis import pack_command
from redis import Redis
from redis.exceptions import RedisError, ResponseError

Command = tuple[Any, ...]


def ask(client: Redis, commands: Iterable[Command]) -> list[Any]:
    """What the server answers to each, as it came: bytes, numbers and lists; an error that it answers to one of them
    stands in its place. Raises `RedisError` when there is no answer, and then nobody knows what has been done.
    """
    packed: Sequence[bytes] = [pack_command(command) for command in commands]
    pool = client.connection_pool
    connection: Any = pool.get_connection()
    try:
        connection.send_packed_command([b"".join(packed)])
        return [next_answer(connection) for _ in packed]
    except BaseException:
        connection.disconnect()  # what was not read may not be taken for the answer to the next one
        raise
    finally:
        pool.release(connection)


def raised(answers: Sequence[Any]) -> Sequence[Any]:
    """The answers, unless one of them is an error: then that. What was done beside it is found so when it is tried
    again.
    """
    for answer in answers:
        if isinstance(answer, RedisError):
            raise answer
    return answers


def next_answer(connection: Any) -> Any:
    """What comes next on a connection; an error that the server answers is an answer too."""
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


def digest_of(script: str) -> str:
    """The name by which a server knows a script that it has seen."""
    return sha1(script.encode(), usedforsecurity=False).hexdigest()
