"""Settles messages whose outcome is unknown: asks the provider what became of the call, and never sends again. What no
provider can be asked about stays unknown, and counts: it may have been shown.
"""

import logging
from collections import Counter
from collections.abc import Mapping

from campaigns.delivery.channels.channel import Channel, DeliveryError, Findable, Sought, Trace
from campaigns.delivery.failure import heed_report
from campaigns.delivery.outbox import ProviderReport
from campaigns.delivery.unsettled import Unsettled, end_without_trace, own_trace, take_unsettled
from consent import entry as consent
from consent.store import phone_of
from engine import metrics
from engine.clock import Now
from engine.records import Records

BATCH = 20
"""Messages that are asked about in one run; each is a call or two of the provider, within its timeout."""

_logger = logging.getLogger(__name__)


class Reconciler:
    """Asks about messages in `unknown`, a few at a time and each ever more rarely, in any number of processes."""

    def __init__(self, records: Records, channels: Mapping[consent.Channel, Channel], now: Now) -> None:
        self._records = records
        self._now = now
        self._askable = {name: channel for name, channel in channels.items() if isinstance(channel, Findable)}

    def run_once(self, limit: int = BATCH) -> int:
        """Ask about those whose turn it is; how many were settled. A provider that does not answer ends the run."""
        with self._records.writes.begin() as connection:
            taken = take_unsettled(connection, self._now(), limit, self._askable)
        settled: Counter[str] = Counter()
        for each in taken:
            try:
                traces = self._traces(each)
            except DeliveryError as error:
                _logger.warning("message %s is still unknown: %s", each.message.id, error)
                break
            if traces is not None and (as_what := self._settle(each, traces)):
                settled[as_what] += 1
        for as_what, count in settled.items():
            metrics.UNKNOWN_SETTLED.labels(as_what).inc(count)
        return settled.total()

    def _traces(self, unsettled: Unsettled) -> list[Trace] | None:
        """What the provider holds; None where there is no address to ask it about."""
        message = unsettled.message
        with self._records.reads.connect() as connection:
            address = (
                phone_of(connection, message.subject) if message.channel is consent.Channel.SMS else None
            )
        if address is None:
            return None
        channel = self._askable[message.channel]
        return list(channel.find(Sought(address, message.text, unsettled.called_at)))

    def _settle(self, unsettled: Unsettled, traces: list[Trace]) -> str | None:
        """As what a message was settled; None if it stays unknown."""
        message, now = unsettled.message, self._now()
        with self._records.writes.begin() as connection:
            trace = own_trace(connection, unsettled, traces)
            if trace is None:
                if not end_without_trace(connection, message, now):
                    return None
                _logger.warning("message %s failed: the provider has no trace of it", message.id)
                return "no_trace"
            report = ProviderReport(
                trace.state, message.id, trace.provider_id, trace.error_code, trace.made_at
            )
            heed_report(connection, report, now)
        _logger.info("message %s was unknown and is %s", message.id, trace.state)
        return trace.state.value
