"""Sends what is due: claims a message, asks everything again that may have changed, calls the channel, records."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event, Thread

from sqlalchemy import Connection, Engine

from campaigns.campaign import as_test
from campaigns.country_rules import COUNTRY_RULES, LONGEST_CAP, CountryRules
from campaigns.decide import may_still_send
from campaigns.delivery.channels.channel import Channel, DeliveryError, Outgoing
from campaigns.delivery.channels.twilio_codes import Effect
from campaigns.delivery.driving import is_driving
from campaigns.delivery.failure import heed_code
from campaigns.delivery.outbox import (
    AttemptOutcome,
    Due,
    begin_attempt,
    give_up,
    has_work,
    lock_due,
    outcome_of,
    put_back,
    put_off,
    record_failure,
    record_sent,
    refuse,
    take_due,
)
from campaigns.gates import Reason
from campaigns.lifecycle.approval import NEVER, NOT_ASKED, ApprovalPolicy
from campaigns.lifecycle.approval_store import clearance_of_message
from campaigns.limits.account import NO_LIMITS, Account, caps_in_force
from campaigns.limits.cap import counted_since
from campaigns.message import Message
from campaigns.message_store import sent_before
from campaigns.store import get_campaign
from campaigns.verdicts import Answer
from consent import entry as consent
from consent.address import is_dead
from consent.countries.place import Origin
from consent.data_keys import key_if_any
from consent.errors import StillSending
from consent.ledger import entries_of
from consent.phone import origin_of
from consent.push import PushAddress, addresses_of
from consent.store import NOBODY, Held, hold_subject
from consent.suppression import suppression_of
from consent.vault import DataKey
from engine import pushing, texting
from engine.clock import Now
from engine.handover import START_LIMIT_SECONDS, Handovers
from engine.history import done_since, open_carts_of
from engine.lines import Lines, NoLines
from geofences.geofence import Geofence
from geofences.store import event_facts

BATCH = 50
WORKERS = 3
"""Calls of one process and channel at a time. Each holds two connections of the records store, of fifteen."""
NO_MONEY_SECONDS = 60.0
"""A message that today's money is not enough for is looked at again so often."""
POLL_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0
ABANDONED_SECONDS = 60
"""A message that is `sending` for longer was left by a process that died; every channel answers or fails sooner."""

CLOCK_SKEW = timedelta(minutes=2)
"""A withdrawal counts even if the machine that recorded it has a clock this much ahead of ours."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Claim:
    message: Message
    attempt: int
    channel: Channel
    outgoing: Outgoing
    asked_ticks: float


@dataclass(frozen=True, slots=True)
class _Pushed:
    addresses: tuple[PushAddress, ...] = ()
    silent: bool = False
    origin: Origin | None = None


class _StaleClaim(DeliveryError):
    """The call was not made."""


class Sender:
    """Sends due messages over `channels`, a few at a time. `place_of` tells a geofence by its id; `countries` are those
    whose numbers get texts, None all.

    Any number may run side by side on one database: a message goes out at most once, whoever dies when; and none
    starts once a withdrawal has been answered (`engine/handover.py`). What they may call, `lines` tells all of them.
    """

    def __init__(
        self,
        *,
        reads: Engine,
        writes: Engine,
        channels: Mapping[consent.Channel, Channel],
        place_of: Callable[[Connection, str], Geofence | None],
        handovers: Handovers,
        now: Now,
        rules: CountryRules = COUNTRY_RULES,
        account: Account = NO_LIMITS,
        approval: ApprovalPolicy = NEVER,
        ticks: Callable[[], float] = time.monotonic,
        drivers_in_peace: bool = True,
        lines: Lines | None = None,
        countries: frozenset[str] | None = None,
        workers: int = WORKERS,
    ) -> None:
        self._reads = reads
        self._writes = writes
        self._channels = channels
        self._place_of = place_of
        self._handovers = handovers
        self._now = now
        self._rules = rules
        self._account = account
        self._approval = approval
        self._ticks = ticks
        self._drivers_in_peace = drivers_in_peace
        self._lines = lines or NoLines()
        self._countries = countries
        self._workers = workers

    def run(self, stop: Event) -> None:
        """Send until `stop` is set, each channel in a loop of its own, so that a push service that hangs holds up no text.
        A store that fails is tried again after a growing pause.
        """
        first, *others = [{channel} for channel in self._channels] or [set[consent.Channel]()]
        first |= set(consent.Channel) - set(self._channels)  # what cannot be sent is ended too
        loops = [Thread(target=self._run, args=(stop, channels), name="sender") for channels in others]
        for loop in loops:
            loop.start()
        self._run(stop, first)
        for loop in loops:
            loop.join()

    def _run(self, stop: Event, channels: Collection[consent.Channel]) -> None:
        with ThreadPoolExecutor(self._workers, thread_name_prefix="sending") as pool:
            self._loop(stop, channels, pool)

    def _loop(self, stop: Event, channels: Collection[consent.Channel], pool: ThreadPoolExecutor) -> None:
        failures = 0
        while not stop.is_set():
            try:
                busy = self.run_once(stop=stop, pool=pool, channels=channels) > 0
                failures = 0
            except Exception as error:  # noqa: BLE001  # one bad message or a lost database must not end sending
                failures += 1
                # A database error's own words hold the statement's values, so only its kind is logged.
                _logger.error("sending paused: %s", type(error).__name__)  # noqa: TRY400
                stop.wait(min(MAX_PAUSE_SECONDS, POLL_SECONDS * 2**failures))
                continue
            if not busy:
                stop.wait(POLL_SECONDS)

    def run_once(
        self,
        limit: int = BATCH,
        stop: Event | None = None,
        pool: ThreadPoolExecutor | None = None,
        channels: Collection[consent.Channel] = tuple(consent.Channel),
    ) -> int:
        """Deal with up to `limit` due messages of each of the channels, side by side with a `pool`; how many there were."""
        now = self._now()
        with self._reads.connect() as connection:
            if not has_work(connection, now, channels):
                return 0
        with self._writes.begin() as connection:
            left = give_up(connection, now - timedelta(seconds=ABANDONED_SECONDS), now)
            due = take_due(
                connection,
                now,
                limit,
                lambda channel, wanted: self._permits(channel, wanted, now),
                channels,
            )
        for message_id in left:
            _logger.warning("message %s was left half sent; its outcome is unknown", message_id)
        done = (pool.map if pool else map)(lambda one: self._deal_with(one, stop), due)
        if kept := [one for one, called in zip(due, done, strict=True) if not called]:
            with self._writes.begin() as connection:
                put_back(connection, kept)
        return len(due) - len(kept)

    def _permits(self, channel: consent.Channel, wanted: int, now: datetime) -> int:
        """A push goes over as many lines as its shopper has apps: these are asked for it with the claim."""
        if channel is consent.Channel.PUSH:
            return pushing.may_be_taken(self._lines, wanted, now)
        return self._lines.grant(channel, wanted).count

    def _deal_with(self, due: Due, stop: Event | None) -> bool:
        """Send or end one message; False when it is left for later, because we stop or the line went down."""
        if (stop is not None and stop.is_set()) or (due.permitted and not self._lines.is_good(due.channel)):
            self._give_back(due)
            return False
        called = True  # unless we know better: a permit too few does no harm
        try:
            with self._handovers.under_way(due.subject):
                called = self._send(due)
        except StillSending:
            called = False
            _logger.warning("message %s is left for a minute: a withdrawal is being answered", due.message)
        except Exception as error:  # noqa: BLE001  # one message must not take the others of its batch along
            # A database error's own words hold the statement's values, so only its kind is logged.
            _logger.error("message %s is left for a minute: %s", due.message, type(error).__name__)  # noqa: TRY400
        if not called:
            self._give_back(due)
        return True

    def _give_back(self, due: Due) -> None:
        try:
            self._lines.unused(due.channel, int(due.permitted))
        except Exception as error:  # noqa: BLE001  # the others of the batch go on
            _logger.warning("a call that was not made stays counted: %s", type(error).__name__)

    def _send(self, due: Due) -> bool:
        """Whether the provider was called."""
        claim = self._claim(due)
        if claim is None:
            return False
        try:
            if self._ticks() - claim.asked_ticks > START_LIMIT_SECONDS:
                # Due again, and consent is then asked for again.
                raise _StaleClaim("too long since consent was asked for", permanent=False)
            receipt = claim.channel.send(claim.outgoing)
        except DeliveryError as error:
            outcome = outcome_of(error)
            self._record_failure(claim, outcome, error)
            if outcome is AttemptOutcome.RETRY and due.channel is consent.Channel.SMS:
                texting.give_back(self._lines, claim.outgoing.to, claim.outgoing.text)
            if isinstance(error, _StaleClaim):
                pushing.give_back(self._lines, claim.outgoing.addresses)
                return False
            self._lines.failed(due.channel, error)
        except Exception as error:  # noqa: BLE001  # a channel's bug: whether the message went out, nobody knows
            _logger.error("message %s: the channel failed: %s", due.message, type(error).__name__)  # noqa: TRY400
            self._record_failure(claim, AttemptOutcome.UNKNOWN, None)
        else:
            with self._writes.begin() as connection:
                record_sent(connection, due.message, claim.attempt, receipt.provider_id, self._now())
            _logger.info("message %s of campaign %s sent", due.message, claim.message.campaign)
            self._lines.heard(due.channel, well=True, outcome=AttemptOutcome.SENT)
        return True

    def _claim(self, due: Due) -> _Claim | None:
        """Lock, judge again, and mark as `sending`, in one transaction. The subject's lock comes first, as it does
        where consent is recorded: whoever withdraws is either before us, and seen, or after the message left.
        """
        with self._writes.begin() as connection:
            held = hold_subject(connection, due.subject) or NOBODY
            key = key_if_any(connection, due.subject)
            message = lock_due(connection, due.message, key)
            if message is None:
                return None
            # Read under the lock, so that nothing recorded before it is in its future.
            now, ticks = self._now(), self._ticks()
            dead = is_dead(connection, due.subject, message.channel)
            mark = held.mark if message.channel is consent.Channel.SMS and not dead else None
            channel = self._channels.get(message.channel)
            address = held.phone(key) if mark is not None else None
            pushed = self._pushed(connection, message, held, key)
            answer = self._judge(connection, message, mark, address, now, pushed)
            reason, rule = answer.reason, _rule_of(answer)
            if reason is Reason.OK and channel is None:
                reason = Reason.NO_CHANNEL
            if reason is Reason.OK and address is not None:
                goes = texting.may_go(self._lines, self._countries, address, message.text)
                if goes is None:
                    put_off(connection, message, now + timedelta(seconds=NO_MONEY_SECONDS))
                    return None
                reason = goes
            if reason is Reason.OK and pushed.addresses:
                callable_now = pushing.may_go(self._lines, pushed.addresses, now)
                if isinstance(callable_now, datetime):
                    put_off(connection, message, callable_now)
                    return None
                pushed = replace(pushed, addresses=callable_now)
            if reason is not Reason.OK or channel is None or (address is None and not pushed.addresses):
                state = refuse(connection, message, reason, rule)
                because = f"{reason} ({rule})" if rule else reason
                _logger.info("message %s of campaign %s %s: %s", message.id, message.campaign, state, because)
                return None
            attempt = begin_attempt(connection, message, now)
        valid_seconds = int((message.valid_until - now).total_seconds())
        return _Claim(
            message,
            attempt,
            channel,
            Outgoing(
                message.id,
                message.campaign,
                to=address or "",
                text=message.text,
                valid_seconds=valid_seconds,
                addresses=pushed.addresses,
                silent=pushed.silent,
            ),
            ticks,
        )

    def _pushed(self, connection: Connection, message: Message, held: Held, key: DataKey | None) -> _Pushed:
        """Where a push goes, and whether it makes a sound: none for a driver. Nowhere for any other message."""
        if message.channel is not consent.Channel.PUSH:
            return _Pushed()
        addresses = addresses_of(connection, message.subject)
        phone = held.phone(key) if addresses else None
        return _Pushed(
            addresses,
            self._drivers_in_peace and _drove(connection, message.event),
            origin_of(phone) if phone else None,
        )

    def _judge(
        self,
        connection: Connection,
        message: Message,
        mark: str | None,
        address: str | None,
        now: datetime,
        pushed: _Pushed,
    ) -> Answer:
        """`mark` is what the suppression list would hold of the address; None where there is no address."""
        campaign = get_campaign(connection, message.campaign)
        account = self._account
        if message.test:
            campaign, account = as_test(campaign), NO_LIMITS
        caps = [cap for cap, _ in caps_in_force(campaign, account)] if campaign else []
        since = min(counted_since(caps, now), now - LONGEST_CAP)
        at = now + CLOCK_SKEW
        geofence = self._place_of(connection, message.geofence) if message.geofence else None
        entries = entries_of(connection, message.subject)
        return may_still_send(
            message,
            campaign,
            marketing=consent.standing(entries, consent.Purpose.MARKETING, message.channel, at),
            location=consent.standing(entries, consent.Purpose.LOCATION, None, at),
            suppressed=suppression_of(connection, mark) is not None,
            geofence=geofence,
            origin=origin_of(address) if address else pushed.origin,
            earlier=sent_before(connection, message, since),
            has_address=mark is not None or bool(pushed.addresses),
            done=done_since(connection, message, campaign, now) if campaign else frozenset(),
            profiling=consent.standing(entries, consent.Purpose.PROFILING, None, at)
            if campaign is not None and campaign.profiles
            else None,
            carting=consent.standing(entries, consent.Purpose.CART, None, at)
            if campaign is not None and campaign.trigger.cart
            else None,
            carts=open_carts_of(connection, message.subject, campaign, now) if campaign is not None else (),
            rules=self._rules,
            account=account,
            now=now,
            clearance=NOT_ASKED
            if message.test
            else clearance_of_message(connection, self._approval, message.campaign, message.version),
        )

    def _record_failure(self, claim: _Claim, outcome: AttemptOutcome, error: DeliveryError | None) -> None:
        message, code = claim.message, error.code if error else None
        with self._writes.begin() as connection:
            now = self._now()
            effect = heed_code(connection, message.subject, message.channel, message.id, code, now)
            state = record_failure(
                connection,
                message,
                claim.attempt,
                outcome,
                code,
                now,
                reason=Reason.CONFIGURATION
                if effect is Effect.OURS or (error and error.shut_out)
                else Reason.PROVIDER_REFUSED,
                not_before=now + timedelta(seconds=error.retry_after_seconds)
                if error and error.retry_after_seconds
                else None,
            )
        _logger.warning(
            "message %s of campaign %s: attempt %s %s, code %s (%s), now %s",
            message.id,
            message.campaign,
            claim.attempt,
            outcome,
            code,
            effect,
            state,
        )
        self._lines.count(message.channel, outcome)


def _drove(connection: Connection, event: str) -> bool:
    facts = event_facts(connection, event)
    return facts is not None and is_driving(*facts)


def _rule_of(answer: Answer) -> str | None:
    """The country's rule that an answer rests on, with its version; None where it rests on none."""
    rule, version = answer.input.get("rule"), answer.input.get("version")
    return f"{rule}@{version}" if rule and version else rule
