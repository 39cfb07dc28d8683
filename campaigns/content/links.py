"""Which links a text may hold: those to the hosts that the controller listed, and to this installation itself."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

LINK = re.compile(r"//|\bwww\.|[\w-][.\u3002][^\W\d_]{2}|\b\d{1,3}(\.\d{1,3}){3}\b", re.IGNORECASE)
"""What a phone may show as a link; a value with it is not filled in."""
_BETWEEN = re.compile(r"[\s'\"{}|<>()\[\],;]+")
_WORDS = re.compile(r"([\s'\"{}|<>()\[\]]+)")
_WEB = re.compile(r"https?://", re.IGNORECASE)
_MAIL = re.compile(r"(?:mailto:)?[^\s@/:]+@([^\s@/:?]+)", re.IGNORECASE)
_TRAILING = ".:!?…*"
_PORTS = {"http": 80, "https": 443}
_SHOWN_HOSTS = 5


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """The hosts that may be linked, small letters. `shop.example` allows that host alone, `*.shop.example` every host
    below it; a port other than the usual one is part of the name. `public_url` is our own address, always allowed.
    """

    hosts: frozenset[str] = frozenset()
    public_url: str = ""

    def allows(self, host: str) -> bool:
        """Whether a host, as `host_of` tells it, may be linked."""
        above = host.split(".")
        wider = {"*." + ".".join(above[i:]) for i in range(1, len(above))}
        return host in self.hosts or not wider.isdisjoint(self.hosts) or host == host_of(self.public_url)

    def problems(self, text: str) -> list[str]:
        """What is wrong with the links of a text, a template included; they are told as a marketer wrote them."""
        found = []
        for link in links_in(text):
            host = host_of(link)
            if host is None:
                found.append(f"{link}: reads as a link, but not as one to a host; write https://HOST/PATH")
            elif not self.allows(host):
                found.append(
                    f"{link}: reads as a link to {host}, which link_domains does not list ({self._shown()})"
                )
        return found

    def _shown(self) -> str:
        listed = sorted(self.hosts)
        more = ", ..." if len(listed) > _SHOWN_HOSTS else ""
        return (", ".join(listed[:_SHOWN_HOSTS]) + more) or "it lists none"

    def leads_elsewhere(self, word: str) -> bool:
        """Whether a word is a link to a page that is allowed and not ours; no mail address, and plain to every reader."""
        if not LINK.search(word) or not word.isascii() or _MAIL.fullmatch(word):
            return False
        host = host_of(word)
        return host is not None and self.allows(host) and host != host_of(self.public_url)


OWN_LINKS_ONLY = LinkPolicy()
"""As it is where nothing is listed."""


def link_policy(listed: str, public_url: str) -> LinkPolicy:
    """The policy of a setting: hosts apart by spaces or commas."""
    return LinkPolicy(frozenset(listed.replace(",", " ").lower().split()), public_url)


def links_in(text: str) -> Iterator[str]:
    """What a phone may show as a link, each once, as it is written but for compatible letters (ｅ is e)."""
    seen = "".join(each for each in text if unicodedata.category(each) != "Cf")
    words = _BETWEEN.split(unicodedata.normalize("NFKC", seen))
    return (word for word in dict.fromkeys(each.rstrip(_TRAILING) for each in words) if LINK.search(word))


def web_links(text: str, links: LinkPolicy) -> Iterator[tuple[str, bool]]:
    """A text in its parts, in order; True for those that are links to a page elsewhere."""
    for part in _WORDS.split(text):
        word = part.rstrip(_TRAILING + ",;")
        yield word, links.leads_elsewhere(word)
        yield part[len(word) :], False


def host_of(link: str) -> str | None:
    """The host that a link or mail address leads to, in small letters; None where two readers might disagree.

    Names in other scripts are compared as they are written, for the ways to translate them differ.
    """
    if (mail := _MAIL.fullmatch(link)) is not None:
        return mail[1].lower()
    if not _WEB.match(link):
        link = f"https://{link}"
    try:
        parts = urlsplit(link)
        port = parts.port
    except ValueError:
        return None
    if "\\" in link or "@" in parts.netloc or "//" in parts.path or not parts.hostname:
        return None
    usual = port is None or port == _PORTS[parts.scheme]
    return parts.hostname.rstrip(".") if usual else f"{parts.hostname}:{port}"
