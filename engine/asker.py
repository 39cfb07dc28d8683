"""Asks numbers for the second yes (`consent/opt_in.py`): one text each, without any offer, at most once."""

import logging

from campaigns.channels.channel import Channel, DeliveryError, Outgoing
from consent import opt_in
from consent.answers import Answer, language_of, words_of
from consent.inbound import InboundPolicy
from consent.opt_in import Request
from engine.clock import Now
from engine.handover import Handovers
from engine.records import Records

BATCH = 50
CAMPAIGN = "opt-in"

_logger = logging.getLogger(__name__)


class Asker:
    """Sends what is due over the SMS `channel`. Any number may run side by side."""

    def __init__(
        self, records: Records, channel: Channel, handovers: Handovers, policy: InboundPolicy, now: Now
    ) -> None:
        self._records = records
        self._channel = channel
        self._handovers = handovers
        self._policy = policy
        self._now = now

    def run_once(self) -> int:
        """Ask up to `BATCH` numbers; how many were due."""
        with self._records.reads.connect() as connection:
            subjects = opt_in.due(connection, BATCH)
        for subject in subjects:
            with self._handovers.under_way(subject):
                self._ask(subject)
        return len(subjects)

    def _ask(self, subject: str) -> None:
        """Marked as asked before the call: whoever dies in between has not asked, and nobody is asked twice."""
        with self._records.writes.begin() as connection:
            request = opt_in.claim(connection, subject, self._now())
        if request is None or request.subject.phone is None:
            return
        try:
            self._channel.send(self._outgoing(request, request.subject.phone))
        except DeliveryError as error:
            _logger.warning("a request for a second yes did not go out: code %s", error.code)

    def _outgoing(self, request: Request, phone: str) -> Outgoing:
        language = language_of(request.subject.locale, phone)
        policy = self._policy
        text = words_of(Answer.OPT_IN_REQUEST, language, brand=policy.brand, contact=policy.contact)
        seconds = int((request.until - self._now()).total_seconds())
        return Outgoing(request.subject.id, CAMPAIGN, to=phone, text=text or "", valid_seconds=seconds)
