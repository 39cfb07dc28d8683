"""What each domain keeps of a subject, at the one counter for it: what is shown, and what an erasure removes."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

import campaigns.content.link_store
import campaigns.coupons.redemption_store
import campaigns.coupons.store
import campaigns.decision_store
import campaigns.message_store
import geofences.store
from campaigns.audience import list_store
from campaigns.decide import decision_json
from campaigns.message import message_json
from campaigns.triggers import cart_store, run_store
from config import Settings
from consent import address, opt_in, review
from consent.desk import Desk
from consent.processor import Processor
from consent.rights import pass_on_erasure
from engine import events
from engine.doors import idempotency
from engine.events_out.part import EventsOut
from engine.gate import ConsentGate
from engine.handover import Handovers
from engine.privacy.erasure import Erasures
from engine.privacy.part import age_policy
from engine.records import Records
from geofences import visit_store


def desk_of(
    settings: Settings,
    records: Records,
    now: Callable[[], datetime],
    *,
    gate: ConsentGate,
    handovers: Handovers,
    erasures: Erasures,
    processors: tuple[Processor, ...],
) -> Desk:
    """The counter for all that is asked of a subject."""
    return Desk(
        reads=records.reads,
        writes=records.writes,
        now=now,
        withdrawing=gate.withdrawing,
        changed=gate.changed,
        settle=handovers.settle,
        records_of={
            "events": events.of_subject,
            "visits": visit_store.visits_json_of,
            "carts": cart_store.carts_json_of,
            "coupons": campaigns.coupons.store.coupons_of,
            "short_links": campaigns.content.link_store.links_of,
            "clicks": campaigns.content.link_store.clicks_of,
            "redemptions": campaigns.coupons.redemption_store.redemptions_of,
            "decisions": _as_json(campaigns.decision_store.decisions_of, decision_json),
            "messages": _as_json(campaigns.message_store.messages_of, message_json),
        },
        on_erasure=(
            campaigns.coupons.store.forget_subject,
            campaigns.content.link_store.forget_subject,
            campaigns.coupons.redemption_store.forget_subject,
            geofences.store.forget_subject,
            visit_store.forget_subject,
            list_store.forget_subject,
            cart_store.forget_subject,
            run_store.forget_subject,
            address.forget_subject,
            review.forget_subject,
            opt_in.forget_subject,
            idempotency.forget_subject,
            pass_on_erasure(processors, now),
            EventsOut.forget_subject,
            campaigns.decision_store.forget_subject,  # last, as it locks the counters of budgets
        ),
        forget_devices=erasures.forget_devices,
        settle_erasures=erasures.settle,
        second_yes_regions=settings.second_yes,
        ages=age_policy(settings),
    )


def _as_json(
    items_of: Callable[[Connection, str], Iterable[Any]], json_of: Callable[[Any], dict[str, Any]]
) -> Callable[[Connection, str], list[dict[str, Any]]]:
    """One domain's records of a subject, as an export shows them."""
    return lambda connection, subject: [json_of(item) for item in items_of(connection, subject)]
