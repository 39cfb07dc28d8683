"""The ways to reach a shopper that this installation has, each with its client."""

from campaigns.delivery.channels.channel import Channel as DeliveryChannel
from campaigns.delivery.channels.log import LogChannel
from campaigns.delivery.channels.push import Push
from campaigns.delivery.channels.sms_twilio import TwilioSms
from config import Settings
from consent.entry import Channel


def channels_of(settings: Settings, to_phones: Push) -> dict[Channel, DeliveryChannel]:
    """By which the sender reaches a shopper; pushes go by `to_phones` where apps are declared."""
    silent = LogChannel()
    push = to_phones if settings.push_path else silent
    if settings.sms_channel == "log":
        return {Channel.SMS: silent, Channel.PUSH: push}
    sms = TwilioSms(
        settings.twilio_account_sid,
        settings.twilio_auth_tokens[0],
        messaging_service_sid=settings.twilio_messaging_service_sid or None,
        from_=settings.twilio_from or None,
        api_url=settings.twilio_api_url or None,
        status_callback=f"{settings.public_url.rstrip('/')}/v1/twilio/status",
        timeout_seconds=settings.twilio_timeout_seconds,
    )
    return {Channel.SMS: sms, Channel.PUSH: push}
