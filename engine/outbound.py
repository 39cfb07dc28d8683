"""Calls out to URLs that others have given us, so that none of them reaches our own network: a name is looked up once,
every address it stands for must be public, and the connection goes to that very address, with the name in TLS and Host.

No redirect is followed, no proxy is asked, an answer is read up to a limit, and the whole call has one deadline.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import httpx2

from engine.destination import Destinations, port_of

TIMEOUT_SECONDS = 15.0
"""From looking up the name to the last byte of the answer."""
CONNECT_SECONDS = 5.0
ANSWER_LIMIT_BYTES = 65_536
BODY_LIMIT_BYTES = 1_048_576
LOOKUPS_AT_ONCE = 8
USER_AGENT = "Chaland/0.1"

Resolve = Callable[[str, int], Sequence[str]]


class CallFailure(StrEnum):
    """Why a call brought no answer. The first two are mended by another URL only."""

    REFUSED_URL = "refused_url"
    REFUSED_ADDRESS = "refused_address"
    UNKNOWN_HOST = "unknown_host"
    NO_CONNECTION = "no_connection"
    BROKEN_OFF = "broken_off"
    TIMEOUT = "timeout"


class CallFailed(Exception):
    """A call without an answer. `heard` says whether the other side may have heard it: if not, calling again is safe."""

    def __init__(self, failure: CallFailure, *, heard: bool) -> None:
        super().__init__(failure.value)  # no URL: it may hold a secret
        self.failure = failure
        self.heard = heard

    @property
    def permanent(self) -> bool:
        """Whether it is of no use to call again."""
        return self.failure in (CallFailure.REFUSED_URL, CallFailure.REFUSED_ADDRESS)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the body is as sent (no encoding undone), cut at the limit, and then not `whole`."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    whole: bool = True

    @property
    def taken(self) -> bool:
        """Whether the other side took it: a 2xx. A redirect is a refusal."""
        return 200 <= self.status < 300


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses that a name stands for now, as the machine's resolver tells. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Outbound:
    """The one door out to URLs given by others. Any number of threads may use it."""

    def __init__(
        self,
        destinations: Destinations,
        resolve: Resolve = resolve,
        trust: ssl.SSLContext | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self.destinations = destinations
        self._resolve = resolve
        self._given_trust = trust
        self._timeout_seconds = timeout_seconds
        # Not the event loop's own threads: those would be waited for when it ends, however long a lookup hangs.
        self._lookups = ThreadPoolExecutor(LOOKUPS_AT_ONCE, "lookup")

    def close(self) -> None:
        """Give up the threads."""
        self._lookups.shutdown(wait=False, cancel_futures=True)

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """Read when first needed: it takes some forty milliseconds."""
        return self._given_trust or httpx2.create_ssl_context(trust_env=False)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """`post_async`, from a thread that runs no event loop."""
        return asyncio.run(self.post_async(url, body, headers))

    async def post_async(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """POST a body. Raises `CallFailed`."""
        if len(body) > BODY_LIMIT_BYTES or self.destinations.flaw(url) is not None:
            raise CallFailed(CallFailure.REFUSED_URL, heard=False)
        heard = False
        try:
            async with asyncio.timeout(self._timeout_seconds):
                parsed = httpx2.URL(url)
                addresses = await self._addresses(parsed)
                for address in addresses:
                    try:
                        heard = True  # from here on we cannot know
                        return await self._call(parsed, address, body, headers)
                    except (httpx2.ConnectError, httpx2.ConnectTimeout):
                        heard = False
        except TimeoutError:
            raise CallFailed(CallFailure.TIMEOUT, heard=heard) from None
        except httpx2.TimeoutException:
            raise CallFailed(CallFailure.TIMEOUT, heard=True) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError):
            raise CallFailed(CallFailure.BROKEN_OFF, heard=True) from None
        raise CallFailed(CallFailure.NO_CONNECTION, heard=False)

    async def _addresses(self, url: httpx2.URL) -> Sequence[str]:
        """What the URL's host stands for, looked up once; what is called afterwards is one of these and nothing else."""
        host = url.raw_host.decode("ascii")
        loop = asyncio.get_running_loop()
        try:
            addresses = await loop.run_in_executor(self._lookups, self._resolve, host, port_of(url))
        except (OSError, UnicodeError):
            addresses = ()
        if not addresses:
            raise CallFailed(CallFailure.UNKNOWN_HOST, heard=False)
        if self.destinations.refuses(addresses):
            raise CallFailed(CallFailure.REFUSED_ADDRESS, heard=False)
        return addresses

    async def _call(self, url: httpx2.URL, address: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        pinned = url.copy_with(host=address.partition("%")[0])
        sent = {
            "User-Agent": USER_AGENT,
            **headers,
            "Host": url.netloc.decode("ascii"),
            "Accept-Encoding": "identity",
        }
        timeout = httpx2.Timeout(self._timeout_seconds, connect=CONNECT_SECONDS)
        async with (
            httpx2.AsyncClient(
                verify=self._trust, timeout=timeout, follow_redirects=False, trust_env=False, http2=False
            ) as client,
            client.stream(
                "POST",
                pinned,
                content=body,
                headers=sent,
                extensions={"sni_hostname": url.raw_host.decode("ascii")},
            ) as answer,
        ):
            held = bytearray()
            async for part in answer.aiter_raw():
                held += part
                if len(held) > ANSWER_LIMIT_BYTES:
                    break
            return Answer(
                answer.status_code,
                dict(answer.headers),
                bytes(held[:ANSWER_LIMIT_BYTES]),
                whole=len(held) <= ANSWER_LIMIT_BYTES,
            )
