"""The pools of coupon codes, and which message has which code.

Every function takes an open connection; the caller owns the transaction. Codes are sealed with a data key of their own,
which belongs to no subject: whoever has the database alone can spend none.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from campaigns.coupons.coupon import (
    ALPHABET,
    SAMPLE_COUPON,
    Coupon,
    CouponOffer,
    CouponState,
    Pool,
    PoolFull,
    PoolInUse,
    PoolNotFound,
    code_problem,
    plain_code,
)
from campaigns.delivery.dead_letter import is_dead
from campaigns.gates import Reason
from campaigns.message import MessageState
from campaigns.paging import Page, read_cursor, write_cursor
from campaigns.tables import coupon_pools, coupons, messages
from consent.data_keys import key_for
from consent.store import insert_if_new
from consent.vault import DataKey

KEY_OWNER = "coupon codes"
"""No subject can have this id: it holds a space."""
CODE_FIELD = "coupon code"
MAX_POOL_CODES = 1_000_000
MAX_TOLD_LINES = 100
PORTION = 500
GIVEN_BACK_AT_ONCE = 500
GIVEN_BACK_WITHIN = timedelta(days=16)
"""By then it is known of every message whether it went: a delay takes 7 days at most, and what is due is sent or expires in 8."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who is to have a code: the message, and where and until when it will be good."""

    message: str
    subject: str
    campaign: str
    geofence: str | None
    tags: tuple[str, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class Stock:
    """How many codes of a pool are in which state."""

    pool: Pool
    codes: Mapping[CouponState, int]

    def is_low(self, now: datetime) -> bool:
        """Whether more codes are needed soon; never of a pool that is over."""
        over = self.pool.expires_at is not None and self.pool.expires_at <= now
        return not over and self.codes[CouponState.FREE] < self.pool.alert_below


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the lines of an import; `rejected` tells the first of them, by line, and never shows a code."""

    imported: int
    known: int
    rejected_total: int
    rejected: tuple[tuple[int, str], ...]


def put_pool(conn: Connection, pool: Pool, now: datetime) -> bool:
    """Save a pool; tells whether it is new. Its codes stay."""
    said = {"name": pool.name, "alert_below": pool.alert_below, "expires_at": pool.expires_at}
    row = {"id": pool.id, "longest_chars": pool.longest_chars, "made_at": now, **said}
    if insert_if_new(conn, coupon_pools, row):
        return True
    conn.execute(update(coupon_pools).where(coupon_pools.c.id == pool.id).values(said))
    return False


def get_pool(conn: Connection, pool_id: str, *, lock: bool = False) -> Pool:
    """The pool. Raises `PoolNotFound`. With `lock`, nobody else adds codes to it before the transaction ends."""
    query = select(coupon_pools).where(coupon_pools.c.id == pool_id)
    row = conn.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise PoolNotFound(f"no coupon pool {pool_id}; PUT /v1/coupon-pools/{pool_id} makes it")
    return _pool(row)


def pools_page(conn: Connection, limit: int, cursor: str | None = None) -> Page[Pool]:
    """Pools in the order of their ids."""
    query = select(coupon_pools).order_by(coupon_pools.c.id).limit(limit + 1)
    if cursor is not None:
        [after] = read_cursor(cursor, parts=1)
        query = query.where(coupon_pools.c.id > after)
    found = [_pool(row) for row in conn.execute(query)]
    return Page(tuple(found[:limit]), write_cursor(found[limit - 1].id) if len(found) > limit else None)


def stock_of(conn: Connection, pools: Sequence[Pool]) -> list[Stock]:
    """How many codes of which state these pools hold."""
    query = (
        select(coupons.c.pool, coupons.c.state, func.count())
        .where(coupons.c.pool.in_([pool.id for pool in pools]))
        .group_by(coupons.c.pool, coupons.c.state)
    )
    counted = {(row[0], CouponState(row[1])): row[2] for row in conn.execute(query)}
    return [Stock(pool, {state: counted.get((pool.id, state), 0) for state in CouponState}) for pool in pools]


def delete_pool(conn: Connection, pool_id: str) -> None:
    """Forget a pool none of whose codes was sent. Raises `PoolNotFound`, `PoolInUse`."""
    get_pool(conn, pool_id, lock=True)
    used = (coupons.c.pool == pool_id) & (coupons.c.state != CouponState.FREE.value)
    if conn.execute(select(coupons.c.code).where(used).limit(1)).first() is not None:
        raise PoolInUse(f"codes of coupon pool {pool_id} were sent; set its expires_at to end it")
    conn.execute(delete(coupons).where(coupons.c.pool == pool_id))
    conn.execute(delete(coupon_pools).where(coupon_pools.c.id == pool_id))


def import_codes(conn: Connection, pool_id: str, lines: Iterable[tuple[int, str]]) -> Imported:
    """Add codes, each with the number of its line. One that the pool has is `known`; one that cannot be a code, or that
    stands twice, or in another pool, is rejected. Raises `PoolNotFound`, `PoolFull`.
    """
    pool = get_pool(conn, pool_id, lock=True)
    key = code_key(conn)
    rejected: list[tuple[int, str]] = []
    rows: dict[str, tuple[int, str]] = {}
    for line, code in lines:
        sealed = "" if (problem := code_problem(code)) else key.seal_alike(CODE_FIELD, plain_code(code))
        if problem is None and sealed in rows:
            problem = f"the code of line {rows[sealed][0]} stands here again"
        if problem is not None:
            rejected.append((line, problem))
        else:
            rows[sealed] = (line, code)
    owners = _owners(conn, list(rows))
    elsewhere = "another pool has this code; a till could not tell them apart"
    rejected += [(rows[code][0], elsewhere) for code, owner in owners.items() if owner != pool_id]
    new = {sealed: code for sealed, (_, code) in rows.items() if sealed not in owners}
    _add(conn, pool, key, new)
    known = sum(owner == pool_id for owner in owners.values())
    return Imported(len(new), known, len(rejected), tuple(sorted(rejected)[:MAX_TOLD_LINES]))


def generate_codes(conn: Connection, pool_id: str, count: int, length: int, prefix: str) -> int:
    """Make so many codes at random, each of `prefix` and `length` characters of `ALPHABET`. Raises `PoolNotFound`,
    `PoolFull`. Answers how many were made; one that exists already is made anew.
    """
    pool = get_pool(conn, pool_id, lock=True)
    key = code_key(conn)
    made: dict[str, str] = {}
    while len(made) < count:
        drawn = [
            prefix + "".join(secrets.choice(ALPHABET) for _ in range(length))
            for _ in range(count - len(made))
        ]
        sealed = {key.seal_alike(CODE_FIELD, plain_code(code)): code for code in drawn}
        taken = _owners(conn, list(sealed))
        made |= {code: shown for code, shown in sealed.items() if code not in taken}
    _add(conn, pool, key, made)
    return len(made)


def claim(conn: Connection, pool_id: str, wanted: Wanted, now: datetime) -> Coupon | None:
    """Give the message a code that no other has; None if there is none left, or the pool is over or gone.

    Two transactions never take the same one: on PostgreSQL each locks a row and passes over those that others hold,
    on SQLite there is one writer. Undone with the transaction, the code is free again.
    """
    row = conn.execute(select(coupon_pools).where(coupon_pools.c.id == pool_id)).first()
    pool = _pool(row) if row else None
    if pool is None or (pool.expires_at is not None and pool.expires_at <= now):
        return None
    free = _next_free(conn, pool_id)
    if free is None:
        return None
    until = min(wanted.until, pool.expires_at) if pool.expires_at else wanted.until
    taken = {
        "state": CouponState.CLAIMED.value,
        "message": wanted.message,
        "subject": wanted.subject,
        "campaign": wanted.campaign,
        "geofence": wanted.geofence,
        "tags": list(wanted.tags),
        "claimed_at": now,
        "valid_until": until,
    }
    conn.execute(update(coupons).where(coupons.c.code == free.code).values(taken))
    return Coupon(code_key(conn).open(CODE_FIELD, free.shown), until)


def sample_for(conn: Connection, offer: CouponOffer | None, now: datetime) -> Coupon:
    """Stands for a code of the offer's pool, as long as its longest; none is used up. The pool may be gone."""
    row = conn.execute(select(coupon_pools).where(coupon_pools.c.id == offer.pool)).first() if offer else None
    if row is None or offer is None:
        return SAMPLE_COUPON
    until = now + timedelta(seconds=offer.valid_seconds)
    return Coupon(_pool(row).sample, min(until, row.expires_at) if row.expires_at else until)


def release(conn: Connection, message_id: str) -> None:
    """Free the code of a message that was not made after all."""
    conn.execute(update(coupons).where(coupons.c.message == message_id).values(_UNCLAIMED))


def unclaim_since(conn: Connection, at: datetime) -> None:
    """Have every code that was claimed since then free again, whatever became of it; only for a store to try things in."""
    conn.execute(update(coupons).where(coupons.c.claimed_at >= at).values(_UNCLAIMED))


def give_back(conn: Connection, now: datetime) -> int:
    """Free the codes of messages that never went: expired, cancelled, or refused by the provider at every call, and not
    to be let go again. Answers how many; up to a limit at once.

    Of a message whose fate nobody knows the code stays claimed, as of one that was not delivered: it may have been read.
    """
    never_went = messages.c.state.in_([MessageState.EXPIRED.value, MessageState.CANCELLED.value]) | (
        (messages.c.state == MessageState.FAILED.value)
        & messages.c.provider_id.is_(None)
        & messages.c.reason.is_distinct_from(Reason.NO_TRACE.value)  # the provider was only asked later
        & ~is_dead(now)
    )
    theirs = (
        select(coupons.c.code)
        .join(messages, messages.c.id == coupons.c.message)
        .where(coupons.c.state == CouponState.CLAIMED.value, never_went)
        .where(coupons.c.claimed_at >= now - GIVEN_BACK_WITHIN)
        .limit(GIVEN_BACK_AT_ONCE)
        .with_for_update(of=coupons, skip_locked=True)
    )
    codes = list(conn.scalars(theirs))
    if codes:
        conn.execute(update(coupons).where(coupons.c.code.in_(codes)).values(_UNCLAIMED))
    return len(codes)


def coupons_of(conn: Connection, subject: str) -> list[dict[str, Any]]:
    """Every code that a subject was sent, oldest first; for the subject's export."""
    rows = conn.execute(
        select(coupons).where(coupons.c.subject == subject).order_by(coupons.c.claimed_at, coupons.c.code)
    ).all()
    key = code_key(conn) if rows else None
    return [
        {
            "code": key.open(CODE_FIELD, row.shown) if key else "",
            "pool": row.pool,
            "state": row.state,
            "message": row.message,
            "campaign": row.campaign,
            "geofence": row.geofence,
            "claimed_at": row.claimed_at.isoformat(),
            "valid_until": row.valid_until.isoformat(),
        }
        for row in rows
    ]


def forget_subject(conn: Connection, subject: str) -> None:
    """Nobody can tell any more who had these codes, and nobody gets them again."""
    theirs = coupons.c.subject == subject
    nobody = {"subject": None, "message": None, "geofence": None}
    conn.execute(update(coupons).where(theirs).values(nobody | {"state": CouponState.VOID.value}))


def code_key(conn: Connection) -> DataKey:
    """The key that codes are sealed with."""
    return key_for(conn, KEY_OWNER)


_UNCLAIMED: Mapping[str, Any] = {
    "state": CouponState.FREE.value,
    **dict.fromkeys(("message", "subject", "campaign", "geofence", "tags", "claimed_at", "valid_until")),
}


def _next_free(conn: Connection, pool_id: str) -> Any:
    """The code whose turn it is, locked; None if there is none."""
    free = (
        select(coupons.c.code, coupons.c.shown)
        .where(coupons.c.pool == pool_id, coupons.c.state == CouponState.FREE.value)
        .order_by(coupons.c.number)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return conn.execute(free).first()


def _add(conn: Connection, pool: Pool, key: DataKey, new: Mapping[str, str]) -> None:
    if not new:
        return
    mine = coupons.c.pool == pool.id
    held, last = conn.execute(select(func.count(), func.max(coupons.c.number)).where(mine)).one()
    if held + len(new) > MAX_POOL_CODES:
        raise PoolFull(
            f"coupon pool {pool.id} holds {held} codes, and may hold {MAX_POOL_CODES}; make another pool"
        )
    rows = [
        {
            "code": sealed,
            "shown": key.seal(CODE_FIELD, code),
            "pool": pool.id,
            "number": number,
            "state": CouponState.FREE.value,
        }
        for number, (sealed, code) in enumerate(new.items(), start=(last or 0) + 1)
    ]
    for start in range(0, len(rows), PORTION):
        conn.execute(coupons.insert(), rows[start : start + PORTION])
    first = not held
    longest = max(map(len, new.values()))
    if first or longest > pool.longest_chars:
        conn.execute(update(coupon_pools).where(coupon_pools.c.id == pool.id).values(longest_chars=longest))


def _owners(conn: Connection, codes: Sequence[str]) -> dict[str, str]:
    """The pools of those codes that exist."""
    owners: dict[str, str] = {}
    for start in range(0, len(codes), PORTION):
        some = coupons.c.code.in_(codes[start : start + PORTION])
        owners |= {
            row.code: row.pool for row in conn.execute(select(coupons.c.code, coupons.c.pool).where(some))
        }
    return owners


def _pool(row: Row[Any]) -> Pool:
    return Pool(row.id, row.name, row.alert_below, row.expires_at, row.longest_chars)
