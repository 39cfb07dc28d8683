"""The texts that shoppers are shown when they are asked. Published once, never changed, each a leaf of the consent log."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice

from sqlalchemy import Connection, RowMapping, func, insert, select

from consent import log
from consent.commitment import NoticeLine, instant, leaf_of, new_salt
from consent.data_keys import IDS_PER_QUERY
from consent.entry import TEXT_VERSION_LIMIT_CHARS
from consent.errors import FieldError, InvalidConsent, NoticeNotFound, NoticeTaken
from consent.log_tables import consent_notices

TEXT_LIMIT_CHARS = 20_000
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")


@dataclass(frozen=True, slots=True)
class Notice:
    """A text that is shown, under the version that grants name. Where it says something materially different, `renews`
    is the version whose grants no longer carry from `published_at` on. Raises InvalidConsent.
    """

    version: str
    language: str
    text: str
    renews: str | None
    published_at: datetime
    actor: str
    seq: int | None = None

    def __post_init__(self) -> None:
        if flaws := tuple(_flaws(self)):
            raise InvalidConsent("invalid_notice", flaws)

    @property
    def text_hash(self) -> str:
        """The SHA-256 of the text in UTF-8, in hex."""
        return sha256(self.text.encode()).hexdigest()


def publish(conn: Connection, notice: Notice) -> Notice:
    """Append the notice to the log. The same again changes nothing; raises NoticeTaken if the version says otherwise."""
    size = log.hold(conn)
    stands = notices_of(conn, [notice.version]).get(notice.version)
    if stands is None:
        salt = new_salt()
        placed = {name: getattr(notice, name) for name in _FIELDS} | {"seq": size + 1, "salt": salt}
        conn.execute(insert(consent_notices).values(placed))
        log.append(conn, size, [leaf_of(salt, notice_line(notice))])
        return get_notice(conn, notice.version)
    if _said(stands) != _said(notice):
        raise NoticeTaken
    return stands


def get_notice(conn: Connection, version: str) -> Notice:
    """The notice of this version. Raises NoticeNotFound."""
    found = notices_of(conn, [version]).get(version)
    if found is None:
        raise NoticeNotFound
    return found


def notices(conn: Connection, after: int, limit: int) -> list[Notice]:
    """The next notices behind place `after`, in the order they were published."""
    rows = select(consent_notices).where(consent_notices.c.seq > after).order_by(consent_notices.c.seq)
    return [_notice(row) for row in conn.execute(rows.limit(limit)).mappings()]


def notices_of(conn: Connection, versions: Iterable[str]) -> dict[str, Notice]:
    """The published ones among these versions."""
    found, rest = dict[str, Notice](), iter(versions)
    while some := list(islice(rest, IDS_PER_QUERY)):
        for row in conn.execute(
            select(consent_notices).where(consent_notices.c.version.in_(some))
        ).mappings():
            found[row["version"]] = _notice(row)
    return found


def renewals_of(conn: Connection, versions: Iterable[str]) -> dict[str, datetime]:
    """Since when grants under these versions no longer carry, for those that were renewed."""
    found, rest = dict[str, datetime](), iter(versions)
    while some := list(islice(rest, IDS_PER_QUERY)):
        due = (
            select(consent_notices.c.renews, func.min(consent_notices.c.published_at))
            .where(consent_notices.c.renews.in_(some))
            .group_by(consent_notices.c.renews)
        )
        found.update((version, at) for version, at in conn.execute(due))
    return found


def notice_line(notice: Notice) -> NoticeLine:
    """What a notice's leaf commits to."""
    return NoticeLine(
        actor=notice.actor,
        language=notice.language,
        published_at=instant(notice.published_at),
        renews=notice.renews,
        text=notice.text,
        version=notice.version,
    )


_FIELDS = ("version", "language", "text", "renews", "published_at", "actor")


def _said(notice: Notice) -> tuple[str, str, str | None]:
    return notice.language, notice.text, notice.renews


def _notice(row: RowMapping) -> Notice:
    return Notice(**{name: row[name] for name in _FIELDS}, seq=row["seq"])


def _flaws(notice: Notice) -> Iterator[FieldError]:
    for field, version in (("version", notice.version), ("renews", notice.renews)):
        if version is not None and not (
            1 <= len(version) <= TEXT_VERSION_LIMIT_CHARS and version.isprintable() and not version.isspace()
        ):
            yield FieldError(field, f"must be one line of 1 to {TEXT_VERSION_LIMIT_CHARS} characters")
    if notice.renews == notice.version:
        yield FieldError("renews", "must be another version")
    if not LANGUAGE.fullmatch(notice.language):
        yield FieldError("language", "must be a language tag, such as fr or fr-FR")
    lines = notice.text.split("\n")
    if not 1 <= len(notice.text) <= TEXT_LIMIT_CHARS or not all(line.isprintable() for line in lines):
        yield FieldError("text", f"must be 1 to {TEXT_LIMIT_CHARS} printable characters and line breaks")
