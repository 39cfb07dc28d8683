"""Twilio's words for what became of a message, in ours."""

from collections.abc import Mapping

from campaigns.message import MessageState

STATES: Mapping[str, MessageState] = {
    "accepted": MessageState.SENT,
    "scheduled": MessageState.SENT,
    "queued": MessageState.SENT,
    "sending": MessageState.SENT,
    "sent": MessageState.SENT,
    "delivered": MessageState.DELIVERED,
    "read": MessageState.DELIVERED,
    "undelivered": MessageState.UNDELIVERED,
    "failed": MessageState.FAILED,
    "canceled": MessageState.FAILED,
}
"""By ``MessageStatus`` of a status callback; ours is `sent` as soon as Twilio has the message.

Source: twilio.com/docs/messaging/api/message-resource, message status values.
"""
