"""Every metric of the engine, by name; this file is their documentation. No label ever holds personal data."""

from prometheus_client import Counter, Gauge

PINGS_ACCEPTED = Counter("chaland_pings_accepted_total", "Pings appended to the signal log.")
PINGS_REJECTED = Counter("chaland_pings_rejected_total", "Pings not accepted, by reason.", ["reason"])
SIGHTINGS_ACCEPTED = Counter(
    "chaland_sightings_accepted_total", "Beacon sightings appended to the signal log."
)
SIGHTINGS_REJECTED = Counter(
    "chaland_sightings_rejected_total", "Beacon sightings not accepted, by reason.", ["reason"]
)
PINGS_PROCESSED = Counter("chaland_pings_processed_total", "Pings that detection has taken in.")
PINGS_LATE = Counter("chaland_pings_late_total", "Pings older than what their device had said already.")
ROUNDS_FAILED = Counter(
    "chaland_rounds_failed_total",
    "Rounds of the worker that failed for a reason of its own and are taken again; alarm on any.",
)
TRACKS_UNREADABLE = Counter(
    "chaland_tracks_unreadable_total",
    "Tracks in the live store that could not be read; their phones were met anew, and may enter twice; alarm on any.",
)
SET_ASIDE = Counter(
    "chaland_set_aside_total",
    "Entries of the logs of signals and events that could not be read and were set aside; alarm on any.",
    ["stream"],
)
QUARANTINED = Gauge(
    "chaland_quarantined_entries",
    "Entries that are set aside now, over all partitions; `chaland quarantine list` has them.",
    ["stream"],
)
QUARANTINE_LOST = Counter(
    "chaland_quarantine_lost_total",
    "Entries that were set aside and have gone without being read: expired, or erasure; alarm on any.",
    ["why"],
)
EVENTS_EMITTED = Counter("chaland_events_emitted_total", "Place events committed to the event log.")
EVENTS_DROPPED = Counter(
    "chaland_events_dropped_total",
    "Place events not kept: their subject is gone or allows no location any more.",
)
CARTS_DROPPED = Counter(
    "chaland_carts_dropped_total",
    "Carts not kept: nobody known, or the subject does not allow them.",
)
DECISIONS = Counter(
    "chaland_decisions_total", "Decisions recorded, by outcome and reason.", ["outcome", "reason"]
)
UNJUDGED = Counter(
    "chaland_unjudged_total",
    "What could not be judged, by what became of it: event_kept without a decision, event_set_aside, moment_refused; alarm on any.",
    ["became"],
)
BUDGETS_AT = Gauge(
    "chaland_budgets_at",
    "Limits of budgets, of live campaigns and of the account, used up to so many percent or more; alarm above 0.",
    ["percent"],
)
BEACONS_UNHEALTHY = Gauge(
    "chaland_beacons_unhealthy", "Beacons with a verdict of fleet health, by verdict.", ["verdict"]
)
RULES_OVERDUE = Gauge(
    "chaland_rules_overdue",
    "Rules of countries whose day of review has passed; `chaland rules list` has them.",
)
BREACHES = Gauge(
    "chaland_breaches", "Messages found against a refusal, by the newest daily checks (31 days)."
)
BREACH_CHECKED = Gauge(
    "chaland_breach_checked_timestamp_seconds", "When the newest daily check of refusals ran."
)
TEXTS_IN_DOUBT = Gauge(
    "chaland_texts_in_doubt", "Texts of shoppers that were taken for an opt-out in doubt and wait to be read."
)
COUPONS_FREE = Gauge("chaland_coupons_free", "Coupon codes that are left, by pool.", ["pool"])
COUPON_POOLS_LOW = Gauge(
    "chaland_coupon_pools_low", "Coupon pools with fewer codes than their alert_below; alarm above 0."
)
LINE_CLOSED = Gauge(
    "chaland_line_good",
    "1 while a provider's calls go through, 0 while its breaker is open; alarm on 0.",
    ["channel"],
)
LINE_OF_APP_CLOSED = Gauge(
    "chaland_app_line_good",
    "The same of each line by itself: a channel of several apps is good while one of them is; alarm on 0.",
    ["channel", "line"],
)
DAY_USED_UP = Gauge(
    "chaland_line_messages_used_up", "1 while no message of today is left; alarm on 1.", ["channel"]
)
SPEND_USED_UP = Gauge(
    "chaland_line_spend_used_up", "1 while no money of today is left; alarm on 1.", ["channel"]
)
DESTINATIONS_REFUSED = Gauge(
    "chaland_destinations_refused",
    "Messages not sent for where they would go, by all processes: country, kind of number, too many to one prefix; alarm on these.",
    ["channel", "reason"],
)
CALLS = Gauge(
    "chaland_provider_calls",
    "Calls of providers by all processes since the live store was made, by channel and how they came out.",
    ["channel", "outcome"],
)
SECOND_YES_CALLS = Gauge(
    "chaland_second_yes_calls",
    "Those of them that asked a number for its second yes, by how they came out.",
    ["outcome"],
)
OLDEST_DUE = Gauge(
    "chaland_oldest_due_age_seconds", "How long the oldest message has been due; 0 without one."
)
DEAD_LETTERS = Gauge(
    "chaland_dead_letters", "Messages that failed for a reason of ours and could still go; POST .../redrive."
)
REPORTS_UNKNOWN = Counter("chaland_reports_unknown_total", "Reports of a provider about no message of ours.")
UNKNOWN_SETTLED = Counter(
    "chaland_unknown_settled_total",
    "Messages whose outcome was unknown, by what they turned out to be.",
    ["state"],
)
LOG_DEPTH = Gauge("chaland_log_depth_entries", "Signal log entries not yet processed, over all partitions.")
REQUESTS_OPEN = Gauge("chaland_privacy_requests_open", "Shoppers' requests not yet answered.", ["kind"])
REQUESTS_OVERDUE = Gauge(
    "chaland_privacy_requests_overdue", "Shoppers' requests that had to be answered; alarm above 0.", ["kind"]
)
REQUESTS_OLDEST = Gauge(
    "chaland_privacy_request_oldest_age_seconds", "Age of the oldest open request; 0 without one.", ["kind"]
)
ERASURE_NOTICES = Gauge(
    "chaland_erasure_notices_waiting",
    "Erasures that a processor has not taken; manual: a person is needed.",
    ["state"],
)
ERASURE_NOTICES_OLDEST = Gauge(
    "chaland_erasure_notice_oldest_age_seconds", "Age of the oldest of these; 0 without one.", ["state"]
)
WEBHOOKS = Counter(
    "chaland_webhooks_total",
    "Webhooks by what became of a call: taken, failed, dead, gone, withheld, missed.",
    ["outcome"],
)
WEBHOOKS_WAITING = Gauge("chaland_webhooks_waiting", "Webhooks to be delivered, and dead ones.", ["state"])
RETENTION_REMOVED = Counter("chaland_retention_removed_total", "Rows removed after their period.")
INACTIVE_ERASED = Counter("chaland_inactive_erased_total", "Subjects erased after years of silence.")
PUSH_ADDRESSES_ENDED = Counter(
    "chaland_push_addresses_ended_total",
    "Push addresses removed: dead by word of their service, or idle.",
    ["kind", "why"],
)
