"""Short links: what stands in a message in place of a link, and leads to it by way of us."""

import secrets
import string
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import chain, repeat

from campaigns.content.links import LinkPolicy, web_links

TOKEN_CHARS = 12
"""Of 62 letters and digits: 71 bits, drawn at random for each link of each message."""
PATH = "/l/"
_ALPHABET = string.ascii_letters + string.digits
SAMPLE_TOKEN = "0" * TOKEN_CHARS
"""Stands for a token while a text is only looked at; as long as a real one."""


def new_token() -> str:
    """A token that nobody can guess, and that says nothing."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(TOKEN_CHARS))


def hashed(token: str) -> str:
    """What is kept of a token: it finds the link, and makes none."""
    return blake2b(token.encode(), digest_size=16, person=b"short link").hexdigest()


def targets_of(text: str, links: LinkPolicy) -> list[str]:
    """Where the links of a text lead that are to be shortened, in order; each place in the text is one."""
    return [link for link, is_link in web_links(text, links) if is_link]


def shortened(text: str, links: LinkPolicy, tokens: Sequence[str] = ()) -> str:
    """The text with short links; of tokens that are not there yet, samples. Ours stay: the preference page is no offer."""
    given: Iterator[str] = chain(tokens, repeat(SAMPLE_TOKEN))
    base = links.public_url.rstrip("/") + PATH
    return "".join(base + next(given) if is_link else part for part, is_link in web_links(text, links))


def target_url(link: str) -> str:
    """The address that a link means; without a scheme, https."""
    return link if link.lower().startswith(("http://", "https://")) else f"https://{link}"
