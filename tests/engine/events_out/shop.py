"""A shop whose systems subscribe: its people and places in a real store, and what happens to them."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import count

from campaigns.decision_store import record_decision
from campaigns.message import MessageState
from campaigns.tables import messages
from consent import ledger
from consent.data_keys import keys_of
from consent.entry import Action, Purpose
from consent.store import lock_subject, put_subject
from consent.subject import Device, Subject
from engine.destination import Destinations, Targets
from engine.events import sealed_events
from engine.events_out import subscription_store
from engine.events_out.change import Wanted
from engine.events_out.courier import WebhookCourier
from engine.events_out.payload import Discretion
from engine.events_out.subscription import Secret, Subscription, SubscriptionState
from engine.events_out.webhook import new_secret
from engine.outbound import Outbound
from geofences import store as geofence_store
from geofences.event import EventKind
from geofences.sensitive import SensitivePlaces
from tests.campaigns.cast import BAKERY, decided, event
from tests.consent.cast import entry

EVERYTHING = Wanted(frozenset({"event", "decision", "message", "consent", "subject"}))
SECRET_WORDS = ("+33639980001", "ana-phone", "Anastasia", "fresh bread until ten", "48.8", "43.73")


class Shop:
    def __init__(self, records, clock, outbound=None):
        self.records, self.clock = records, clock
        self.outbound = outbound or Outbound(Destinations(Targets.ANY), lambda host, port: ["127.0.0.1"])
        self.discretion = Discretion(SensitivePlaces())
        self.courier = WebhookCourier(records, self.outbound, self.discretion, clock)
        self.numbers = count(1)
        with records.writes.begin() as conn:
            geofence_store.put(conn, BAKERY, clock())
            told = {"sensitive_override": {"by": "Legal", "reason": "the chapel is closed"}}
            geofence_store.put(conn, replace(BAKERY, id="by-the-chapel", properties=told), clock())

    def subscribes(self, receiver, name="crm", wanted=EVERYTHING):
        secret = new_secret()
        made = Subscription(
            name,
            f"http://crm.example.org:{receiver.port}/{name}",
            wanted,
            (Secret(secret),),
            SubscriptionState.ACTIVE,
            None,
            self.clock(),
            self.clock(),
        )
        with self.records.writes.begin() as conn:
            subscription_store.hold(conn)
            subscription_store.put(conn, made, new=True)
        return secret

    def subscription(self, name="crm"):
        with self.records.reads.connect() as conn:
            return subscription_store.get(conn, name)

    def knows(self, subject):
        phone = Device(f"{subject}-phone")
        known = Subject(
            subject, phone="+33639980001", attributes={"first_name": "Anastasia"}, devices=(phone,)
        )
        with self.records.writes.begin() as conn:
            put_subject(conn, known, self.clock())
        self.says(subject, Action.GRANT)

    def says(self, subject, action, purpose=Purpose.LOCATION):
        with self.records.writes.begin() as conn:
            said = ledger.record(conn, entry(action, self.clock(), subject=subject, purpose=purpose))
        return said.id

    def visits(self, subject, geofence="bakery", kind=EventKind.ENTER):
        at = self.clock() - timedelta(seconds=17)
        what = event(
            at, cause=f"{next(self.numbers)}", device=f"{subject}-phone", geofence=geofence, kind=kind
        )
        with self.records.writes.begin() as conn:
            lock_subject(conn, subject)
            sealed = sealed_events(keys_of(conn, [subject]), [(what, subject)])
            geofence_store.add_events(conn, sealed, self.clock())
        return what

    def offers(self, subject):
        decision, message = decided(f"{next(self.numbers)}", at=self.clock(), subject=subject)
        with self.records.writes.begin() as conn:
            lock_subject(conn, subject)
            record_decision(conn, decision, message)
        return message.id

    def moves(self, message_id, state):
        with self.records.writes.begin() as conn:
            conn.execute(
                messages.update().where(messages.c.id == message_id).values(state=MessageState(state).value)
            )

    def works(self, hours=0):
        """Deliver what there is now; then, if asked for, go on for so many hours."""
        until = self.clock() + timedelta(hours=hours)
        calls = 0
        while True:
            while turn := self.courier.run_once():
                calls += turn
            if self.clock() >= until:
                return calls
            self.clock.advance(minutes=30)


def told(receiver):
    """The bodies that a receiver was given, in order."""
    return [json.loads(each.body) for each in receiver.heard]
