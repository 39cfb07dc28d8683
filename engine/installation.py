"""What the settings of this installation come to, in the values that the domains ask for."""

from collections.abc import Mapping

from campaigns.country_rules import CountryRules
from campaigns.delivery.channels.push import App
from campaigns.reporting.report import ReportPolicy
from campaigns.routes import TwilioReports
from config import Settings
from consent.countries.pack import packs
from consent.countries.rule import Reach
from consent.entry import Channel
from consent.inbound import InboundPolicy
from consent.twilio_signature import Algorithm
from engine import pushing
from engine.lines import LineLimits
from engine.push_apps import AppRate


def country_rules_of(settings: Settings) -> CountryRules:
    """How the rules of countries are kept here."""
    twilio = settings.sms_channel == "twilio"
    return CountryRules(
        enforced=settings.country_rules == "enforced",
        reach=Reach(settings.sending_hours),
        strict=settings.env == "production",
        sender=(settings.twilio_from or settings.twilio_messaging_service_sid) if twilio else None,
        brand=settings.brand,
    )


def inbound_policy_of(settings: Settings) -> InboundPolicy:
    """Who answers shoppers' texts, and how."""
    return InboundPolicy(settings.brand, settings.contact, settings.replies_by, settings.default_region)


def twilio_signing_of(settings: Settings) -> tuple[tuple[str, ...], Algorithm]:
    """With what Twilio's calls must be signed, and how."""
    if settings.twilio_webhook_secrets:
        return settings.twilio_webhook_secrets, Algorithm.SHA256
    return settings.twilio_auth_tokens, Algorithm.SHA1


def twilio_reports_of(settings: Settings) -> TwilioReports | None:
    """What Twilio's reports are checked with; None if nothing is known that could check them."""
    tokens, algorithm = twilio_signing_of(settings)
    return TwilioReports(settings.public_url, tokens, algorithm) if tokens else None


def report_policy_of(settings: Settings) -> ReportPolicy:
    """How reports are made here."""
    return ReportPolicy(
        least_people=settings.report_minimum_people,
        visit_within_hours=settings.visit_within_hours,
        segment_price=settings.sms_segment_price,
        currency=settings.currency,
        days=settings.event_retention_days,
    )


def line_limits_of(settings: Settings, rates: Mapping[App, AppRate]) -> dict[str, LineLimits]:
    """What all senders together may call, by line; nothing restricts texts that only go to the log."""
    pushes = pushing.limits_of(rates, settings.push_per_second_limit, settings.push_per_day_limit)
    if settings.sms_channel == "log":
        return pushes
    sms = LineLimits(
        sender=settings.twilio_from or settings.twilio_messaging_service_sid,
        per_second=settings.sms_per_second_limit,
        sender_per_second=settings.sms_sender_per_second_limit,
        messages_per_day=settings.sms_per_day_limit,
        spend_per_day=settings.sms_spend_per_day_limit,
        segment_price=settings.sms_segment_price,
        texts_per_prefix=settings.sms_per_prefix_limit,
        prefix_window_seconds=settings.sms_prefix_window_seconds,
    )
    return {Channel.SMS: sms, **pushes}


def sms_countries_of(settings: Settings) -> frozenset[str] | None:
    """To which countries texts may go; None is any, for texts that only go to the log."""
    if settings.sms_channel == "log":
        return None
    return settings.allowed_countries or frozenset(pack.country for pack in packs())
