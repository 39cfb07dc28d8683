"""Over which line each push goes, and which of a shopper's devices may be called now.

A line is a service with one app of ours: ``push.fcm.default``. Browsers' push services are told apart by their host, those
that browsers come with; the rest share one line, for a host is whatever a browser said.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from campaigns.delivery.channels.push import PAUSE_SECONDS, App, Came, PushResult
from consent.entry import Channel
from consent.push import PushAddress, PushKind
from engine.lines import Grant, LineLimits, Lines, Short
from engine.push_apps import AppRate

RATE_SECONDS = 1.0
"""A message that finds its line at its rate is looked at again so soon."""
DAY_SECONDS = 60.0
"""And one for which no message of the day is left."""
HOSTS = {
    "fcm.googleapis.com": "google",
    "push.services.mozilla.com": "mozilla",
    "notify.windows.com": "microsoft",
    "push.apple.com": "apple",
}
"""Push services that browsers come with, by the end of their hosts' names."""
OTHER_HOST = "other"


def line_of(address: PushAddress) -> str:
    """The line that a push to the address goes over."""
    line = _line(address.kind, address.app)
    return f"{line}.{_host(address)}" if address.kind is PushKind.WEBPUSH else line


def limits_of(rates: Mapping[App, AppRate], per_second: float, per_day: float) -> dict[str, LineLimits]:
    """What each app's lines may carry; so much where the app does not say."""
    limits: dict[str, LineLimits] = {}
    for (kind, app), rate in rates.items():
        a_second = per_second if rate.per_second is None else rate.per_second
        a_day = per_day if rate.per_day is None else rate.per_day
        hosts = [f".{host}" for host in (*HOSTS.values(), OTHER_HOST)] if kind is PushKind.WEBPUSH else [""]
        limits |= {f"{_line(kind, app)}{host}": _limits(a_second, int(a_day)) for host in hosts}
    return limits


def may_be_taken(lines: Lines, wanted: int, now: datetime) -> int:
    """How many pushes to begin with; which lines they go over is known later (`may_go`). None while every line is down, and
    no more than the lines in use have room for.
    """
    standings = [lines.standing(line) for line in lines.lines_of(Channel.PUSH)]
    usable = [each for each in standings if each.opens_at(now) is None]
    if not standings or (usable and not any(each.used for each in usable)):
        return wanted
    return min(wanted, sum(each.room for each in usable if each.used))


def may_go(
    lines: Lines, addresses: Sequence[PushAddress], now: datetime
) -> tuple[PushAddress, ...] | datetime:
    """Those that may be called now, each counted; or when to look again. Devices behind a line that is down, or has none left
    of today, are left out where another can be reached; a line that is only at its rate is waited for, so that no device is
    left out for that.
    """
    wanted = Counter(line_of(address) for address in addresses)
    grants = {line: lines.grant(line, count) for line, count in sorted(wanted.items())}
    if any(
        grant.short is Short.RATE and grant.count < min(wanted[line], lines.most_at_once(line))
        for line, grant in grants.items()
    ):
        return _later(lines, grants, now, RATE_SECONDS)
    if not any(grant.count for grant in grants.values()):
        is_day_over = any(grant.short is Short.DAY for grant in grants.values())
        return _later(lines, grants, now, DAY_SECONDS if is_day_over else None)
    left = {line: grant.count for line, grant in grants.items()}
    going = []
    for address in addresses:
        if left[line_of(address)] > 0:
            left[line_of(address)] -= 1
            going.append(address)
    return tuple(going)


def give_back(lines: Lines, addresses: Sequence[PushAddress]) -> None:
    """Addresses that were counted were not called."""
    for line, count in Counter(line_of(address) for address in addresses).items():
        lines.unused(line, count)


def heard(lines: Lines, address: PushAddress, result: PushResult) -> None:
    """Tell the line how a call came out, or that there was none."""
    line = line_of(address)
    if not result.called:
        lines.unused(line)
    elif result.busy:
        lines.busy(line, result.retry_after_seconds)
    else:
        lines.heard(line, well=result.came in (Came.TAKEN, Came.DEAD, Came.REFUSED))
    if result.came is Came.SHUT_OUT and not line.endswith(f".{OTHER_HOST}"):
        lines.pause(line, PAUSE_SECONDS)


def _later(lines: Lines, grants: Mapping[str, Grant], now: datetime, seconds: float | None) -> datetime:
    for line, grant in grants.items():
        lines.unused(line, grant.count)
    if seconds is not None:
        return now + timedelta(seconds=seconds)
    soonest = [until for line in grants if (until := lines.standing(line).opens_at(now))]
    return min(soonest, default=now + timedelta(seconds=RATE_SECONDS))


def _line(kind: PushKind, app: str) -> str:
    service = "fcm" if kind in (PushKind.FCM_TOKEN, PushKind.FCM_FID) else kind.value
    return f"push.{service}.{app}"


def _host(address: PushAddress) -> str:
    try:
        host = urlsplit(address.value["endpoint"]).hostname or ""
    except ValueError:
        return OTHER_HOST
    return next((name for end, name in HOSTS.items() if host == end or host.endswith(f".{end}")), OTHER_HOST)


def _limits(per_second: float, per_day: int) -> LineLimits:
    return LineLimits(
        sender="app",
        per_second=per_second,
        sender_per_second=per_second,
        messages_per_day=per_day,
        spend_per_day=math.inf,
        segment_price=0.0,
        texts_per_prefix=0,
        prefix_window_seconds=1,
    )
