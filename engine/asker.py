"""Asks numbers for the second yes (`consent/opt_in.py`): one text each, without any offer, at most once, over the line
that offers go over.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from campaigns.delivery.channels.channel import Channel, DeliveryError, Outgoing
from campaigns.delivery.channels.twilio_codes import Effect
from campaigns.delivery.failure import heed_code
from campaigns.delivery.outbox import AttemptOutcome, outcome_of
from campaigns.gates import Reason
from campaigns.message import derived_id
from consent import entry as consent
from consent import opt_in
from consent.answers import Answer, language_of, words_of
from consent.errors import StillSending
from consent.inbound import InboundPolicy
from consent.opt_in import Request
from engine import texting
from engine.clock import Now
from engine.handover import START_LIMIT_SECONDS, Handovers
from engine.lines import SECOND_YES, Lines, NoLines
from engine.records import Records

BATCH = 50
CAMPAIGN = "opt-in"

_logger = logging.getLogger(__name__)


class _Came(StrEnum):
    """What became of one request; the last two end the run, for the line takes nothing now."""

    ASKED = "asked"
    LEFT = "left"
    NO_MONEY = "no_money"
    LINE_DOWN = "line_down"


class Asker:
    """Sends what is due over the SMS `channel`, within what `lines` allow, to numbers of `countries` (None: all). Any
    number may run side by side.
    """

    def __init__(
        self,
        records: Records,
        channel: Channel,
        handovers: Handovers,
        policy: InboundPolicy,
        now: Now,
        lines: Lines | None = None,
        countries: frozenset[str] | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._channel = channel
        self._handovers = handovers
        self._policy = policy
        self._now = now
        self._lines = lines or NoLines()
        self._countries = countries
        self._ticks = ticks

    def run_once(self) -> int:
        """Ask up to `BATCH` numbers, as many as the line takes; how many calls were made."""
        with self._records.reads.connect() as connection:
            subjects = opt_in.due(connection, BATCH)
        granted = self._lines.grant(consent.Channel.SMS, len(subjects)).count
        calls = 0
        for subject in subjects[:granted]:
            if not self._lines.is_good(consent.Channel.SMS):
                break  # it went down under our calls
            came = self._deal_with(subject)
            calls += came in (_Came.ASKED, _Came.LINE_DOWN)
            if came in (_Came.NO_MONEY, _Came.LINE_DOWN):
                break  # the next run is soon
        self._lines.unused(consent.Channel.SMS, granted - calls)
        return calls

    def _deal_with(self, subject: str) -> _Came:
        try:
            with self._handovers.under_way(subject):
                return self._ask(subject)
        except StillSending:
            return _Came.LEFT
        except Exception as error:  # noqa: BLE001  # one number must not keep the others from being asked
            # A database error's own words hold the statement's values, so only its kind is logged.
            _logger.error("a request for a second yes failed: %s", type(error).__name__)  # noqa: TRY400
            return _Came.ASKED  # unless it was not: a permit too few does no harm

    def _ask(self, subject: str) -> _Came:
        """Marked as asked before the call: whoever dies in between has not asked, and nobody is asked twice."""
        asked_ticks = self._ticks()
        claimed = self._claim(subject)
        if isinstance(claimed, _Came):
            return claimed
        if self._ticks() - asked_ticks > START_LIMIT_SECONDS:
            self._put_back(subject, claimed)
            return _Came.LEFT
        try:
            self._channel.send(claimed)
        except DeliveryError as error:
            return self._failed(subject, claimed, error)
        except Exception as error:  # noqa: BLE001  # a channel's bug: whether the text went out, nobody knows
            _logger.error("a request for a second yes: the channel failed: %s", type(error).__name__)  # noqa: TRY400
            self._count(AttemptOutcome.UNKNOWN)
            return _Came.ASKED
        self._count(AttemptOutcome.SENT)
        self._lines.heard(consent.Channel.SMS, well=True)
        return _Came.ASKED

    def _failed(self, subject: str, claimed: Outgoing, error: DeliveryError) -> _Came:
        """What the code calls for is done, as for an offer; what surely did not go, for no fault of the number, is tried
        again.
        """
        outcome = outcome_of(error)
        _logger.warning("a request for a second yes did not go out: code %s", error.code)
        with self._records.writes.begin() as connection:
            now = self._now()
            effect = heed_code(connection, subject, consent.Channel.SMS, claimed.id, error.code, now)
            if effect in (Effect.OPTED_OUT, Effect.ADDRESS_DEAD):
                opt_in.drop(connection, subject)
        self._count(outcome)
        self._lines.failed(consent.Channel.SMS, error)
        if outcome is AttemptOutcome.RETRY or error.shut_out:
            self._put_back(subject, claimed)
            return _Came.LINE_DOWN
        return _Came.ASKED

    def _put_back(self, subject: str, claimed: Outgoing) -> None:
        texting.give_back(self._lines, claimed.to, claimed.text)
        with self._records.writes.begin() as connection:
            opt_in.put_back(connection, subject, self._now())

    def _count(self, outcome: AttemptOutcome) -> None:
        """Among the calls of the line, and by itself."""
        self._lines.count(consent.Channel.SMS, outcome)
        self._lines.count(SECOND_YES, outcome)

    def _claim(self, subject: str) -> Outgoing | _Came:
        """The text, or what keeps it from going: a number that may never get one is not asked at all."""
        with self._records.writes.begin() as connection:
            now = self._now()
            request = opt_in.claim(connection, subject, now)
            if request is None or request.subject.phone is None:
                return _Came.LEFT
            outgoing = self._outgoing(request, request.subject.phone, now)
            goes = texting.may_go(self._lines, self._countries, outgoing.to, outgoing.text)
            if goes is None:
                opt_in.put_back(connection, subject, now)
                return _Came.NO_MONEY
            if goes is not Reason.OK:
                opt_in.drop(connection, subject)
                _logger.info("a request for a second yes is dropped: %s", goes)
                return _Came.LEFT
        return outgoing

    def _outgoing(self, request: Request, phone: str, now: datetime) -> Outgoing:
        language = language_of(request.subject.locale, phone)
        policy = self._policy
        text = words_of(Answer.OPT_IN_REQUEST, language, brand=policy.brand, contact=policy.contact)
        seconds = int((request.until - now).total_seconds())
        call_id = derived_id(
            "second yes", request.subject.id, request.until.isoformat()
        )  # not the shopper's own id
        return Outgoing(call_id, CAMPAIGN, to=phone, text=text or "", valid_seconds=seconds)
