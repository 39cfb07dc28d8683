"""Who opened a short link: a reader, or one of the machines that look at links before a reader does.

The rules, the first that fits: a HEAD request; a request that says it fetches ahead (`Purpose`, `Sec-Purpose`, `X-Moz`); an
agent that names itself as a machine, or nothing at all; within `SOON` of the sending, an agent that is no phone's, as
scanners on the way have; two links of one message within `BURST`, which no thumb can. The rest are readers.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

SOON = timedelta(seconds=10)
BURST = timedelta(seconds=1)

_MACHINE = re.compile(
    r"bot\b|bot/|crawl|spider|preview|facebookexternalhit|facebot|whatsapp|telegram|slack|discord|skype|viber|linkexpand|"
    r"embedly|vkshare|curl|wget|python|requests|aiohttp|httpx|okhttp|go-http|java/|libwww|perl|ruby|php|axios|node-fetch|"
    r"headless|phantom|puppeteer|playwright|selenium|safelinks|proofpoint|mimecast|barracuda|virustotal|urlscan|scanner|"
    r"monitor|pagespeed|lighthouse|google-pagerenderer|google-read-aloud|bingpreview|apache-httpclient",
    re.IGNORECASE,
)
_PHONE = re.compile(r"iphone|ipad|ipod|android|mobile", re.IGNORECASE)
_AHEAD = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)
_AHEAD_HEADERS = ("purpose", "sec-purpose", "x-purpose", "x-moz")


class Opener(StrEnum):
    """Who it was, and by which rule a machine is known."""

    READER = "reader"
    HEAD = "head"
    AHEAD = "ahead"
    MACHINE = "machine"
    SOON = "soon"
    BURST = "burst"


@dataclass(frozen=True, slots=True)
class Opening:
    """One request for a short link; of its agent only what it tells is kept, and of where it came from nothing."""

    at: datetime
    is_head: bool
    fetches_ahead: bool
    is_machine: bool
    is_phone: bool


def opening_of(method: str, headers: Mapping[str, str], at: datetime) -> Opening:
    """What a request tells. `headers` has names in small letters."""
    agent = headers.get("user-agent", "")[:500]
    return Opening(
        at=at,
        is_head=method == "HEAD",
        fetches_ahead=any(_AHEAD.search(headers.get(name, "")[:100]) for name in _AHEAD_HEADERS),
        is_machine=not agent.strip() or _MACHINE.search(agent) is not None,
        is_phone=_PHONE.search(agent) is not None,
    )


def judge(opening: Opening, sent_at: datetime, others: Iterable[datetime]) -> Opener:
    """Who opened it. `others` are when other links of the same message were opened."""
    if opening.is_head:
        return Opener.HEAD
    if opening.fetches_ahead:
        return Opener.AHEAD
    if opening.is_machine:
        return Opener.MACHINE
    if opening.at < sent_at + SOON and not opening.is_phone:
        return Opener.SOON
    if any(abs(opening.at - other) < BURST for other in others):
        return Opener.BURST
    return Opener.READER
