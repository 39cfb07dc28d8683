"""Where we may call out to: which URLs are taken at all, and which addresses are public. Pure, and asked twice: when a
URL is given to us, and again with the addresses that its name stands for at the moment of the call.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx2

URL_LIMIT_CHARS = 2048
_TRANSLATED = IPv6Network("64:ff9b::/96")
"""Addresses whose last four bytes are an IPv4 address (RFC 6052)."""
_UNICAST = IPv6Network("2000::/3")
"""All that is given out of IPv6 for the public internet."""
_DOCUMENTATION = IPv6Network("3fff::/20")
"""RFC 9637; younger than the library's table."""

Address = IPv4Address | IPv6Address


class Targets(StrEnum):
    """Whom we call: `public` is https to public addresses on the ports of the list; `any` is for development."""

    PUBLIC = "public"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Destinations:
    """The rule for outgoing calls of this installation."""

    targets: Targets = Targets.PUBLIC
    ports: frozenset[int] = frozenset({443, 8443})

    def flaw(self, url: str) -> str | None:
        """Why a URL is not taken, in words that do not repeat it; None if it is. The name is not looked up here."""
        if not 1 <= len(url) <= URL_LIMIT_CHARS or not url.isprintable() or " " in url:
            return f"must be a URL of 1 to {URL_LIMIT_CHARS} printable characters"
        try:
            parsed = httpx2.URL(url)
        except (httpx2.InvalidURL, ValueError):
            return "must be a URL"
        schemes = ("https",) if self.targets is Targets.PUBLIC else ("https", "http")
        if parsed.scheme not in schemes:
            return f"must start with {' or '.join(f'{each}://' for each in schemes)}"
        if parsed.userinfo:
            return "must hold no user name or password"
        if parsed.fragment:
            return "must hold no #fragment"
        if self.targets is Targets.PUBLIC and port_of(parsed) not in self.ports:
            return f"the port must be one of {', '.join(map(str, sorted(self.ports)))}"
        if not _is_host(host := parsed.raw_host.decode("ascii")):
            return "must name a host"
        return None if self._host_may_be_called(host) else "the host must be public"

    def refuses(self, addresses: Sequence[str]) -> bool:
        """Whether a name that stands for these addresses may not be called: one that is not public spoils all."""
        return self.targets is Targets.PUBLIC and not all(is_public(each) for each in addresses)

    def _host_may_be_called(self, host: str) -> bool:
        if self.targets is Targets.ANY:
            return True
        try:
            return is_public(str(ip_address(host)))
        except ValueError:
            return (
                not _is_number(host)
                and "." in host
                and not host.endswith((".localhost", ".local", ".internal"))
            )


def port_of(url: httpx2.URL) -> int:
    """The port that a URL means."""
    return url.port or (443 if url.scheme == "https" else 80)


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet, and so does the IPv4 address that it may hold inside."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(_is_public(each) for each in (parsed, *_embedded(parsed)))


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast  # the library counts multicast as global
    if address.ipv4_mapped or address in _TRANSLATED:
        return True  # nothing but what is embedded
    return address.is_global and address in _UNICAST and address not in _DOCUMENTATION


def _embedded(address: Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address):
        return []
    found = [each for each in (address.ipv4_mapped, address.sixtofour) if each]
    if address in _TRANSLATED:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return found


def _is_number(host: str) -> bool:
    """Whether a resolver would take the host for an IPv4 address written otherwise: 2130706433, 0x7f.1, 127.1."""
    try:
        socket.inet_aton(host.rstrip("."))
    except OSError:
        return False
    return True


def _is_host(host: str) -> bool:
    if ":" in host:
        return "%" not in host
    return bool(host) and all(each.isalnum() or each in "-._" for each in host)
