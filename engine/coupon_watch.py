"""Watches coupon pools: frees the codes of messages that never went, and tells when a pool runs low."""

import logging
from collections.abc import Callable
from datetime import datetime

from campaigns.coupons import store as coupon_store
from campaigns.coupons.coupon import CouponState
from engine import metrics
from engine.records import Records

logger = logging.getLogger(__name__)
PAGE = 100


class CouponWatch:
    """`run_once` is a timed job; `low` names the pools that were low when it ran last."""

    def __init__(self, records: Records, now: Callable[[], datetime]) -> None:
        self._records = records
        self._now = now
        self.low: frozenset[str] = frozenset()

    def run_once(self) -> int:
        """Free codes, and count what is left. Answers how many were freed."""
        freed = 0
        while portion := self._give_back():
            freed += portion
        stocks, cursor = [], None
        with self._records.reads.connect() as connection:
            while True:
                page = coupon_store.pools_page(connection, PAGE, cursor)
                stocks += coupon_store.stock_of(connection, page.items)
                if (cursor := page.next) is None:
                    break
        metrics.COUPONS_FREE.clear()
        for stock in stocks:
            metrics.COUPONS_FREE.labels(stock.pool.id).set(stock.codes[CouponState.FREE])
        low = frozenset(stock.pool.id for stock in stocks if stock.is_low(self._now()))
        metrics.COUPON_POOLS_LOW.set(len(low))
        for pool in sorted(low - self.low):
            logger.warning("coupon pool %s runs low; import more codes or generate some", pool)
        self.low = low
        return freed

    def _give_back(self) -> int:
        with self._records.writes.begin() as connection:
            return coupon_store.give_back(connection, self._now())
