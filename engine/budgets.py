"""Keeps the counters of budgets true to what became of messages, and tells of budgets that run out."""

import logging
from collections.abc import Callable
from datetime import datetime

from campaigns import store as campaign_store
from campaigns.limits import budget_store
from campaigns.limits.account import Account
from campaigns.limits.budget import ACCOUNT, Key, Limit, What, limits_of, owner_of
from campaigns.limits.usage import ALARMS_PERCENT, is_reached
from engine import metrics
from engine.records import Records

logger = logging.getLogger(__name__)


class Budgets:
    """The budgets of one installation, for timed jobs and whoever asks."""

    def __init__(self, records: Records, account: Account, now: Callable[[], datetime]) -> None:
        self._records = records
        self._account = account
        self._now = now
        self._told: set[tuple[Key, What, int]] = set()

    def settle(self) -> int:
        """Commit what went and give back what did not. Answers how many messages were settled."""
        with self._records.reads.connect() as connection:
            if not budget_store.has_unsettled(connection):
                return 0
        with self._records.writes.begin() as connection:
            return budget_store.settle(connection)

    def limits(self) -> list[Limit]:
        """Every limit that counts now, of the account and of campaigns that are live, and what is used of it."""
        with self._records.reads.connect() as connection:
            live = [each for each in campaign_store.live_campaigns(connection) if each.budget.is_limited]
            day = self._account.day(self._now())
            used = budget_store.read_counters(connection, [each.id for each in live], day)
        found = list(limits_of(ACCOUNT, self._account.budget, day, used))
        for campaign in live:
            found += limits_of(owner_of(campaign.id), campaign.budget, day, used)
        return found

    def alarm(self) -> list[Limit]:
        """Count the limits that are used up to 80 and to 100 percent, and log each once a day. Answers those at 80."""
        found = self.limits()
        now = {(limit.key, limit.what) for limit in found}
        self._told = {told for told in self._told if told[:2] in now}  # days that are over are forgotten
        for percent in ALARMS_PERCENT:
            reached = [limit for limit in found if is_reached(limit.used, limit.limit, percent)]
            metrics.BUDGETS_AT.labels(str(percent)).set(len(reached))
            for limit in reached:
                if (told := (limit.key, limit.what, percent)) not in self._told:
                    self._told.add(told)
                    logger.warning(
                        "%s percent of the %s of %s are used", percent, limit.what, limit.key.owner
                    )
        return [limit for limit in found if is_reached(limit.used, limit.limit, ALARMS_PERCENT[0])]
