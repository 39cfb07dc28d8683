"""What to say, to whom, when, how often, over which channel."""

from campaigns.campaign import Campaign, CampaignState
from campaigns.decide import Decision, Outcome, compose, decide
from campaigns.errors import CampaignError, FieldError
from campaigns.gates import GateName, Moment, Reason, Recipient, fits
from campaigns.message import Message, MessageState

__all__ = [
    "Campaign",
    "CampaignError",
    "CampaignState",
    "Decision",
    "FieldError",
    "GateName",
    "Message",
    "MessageState",
    "Moment",
    "Outcome",
    "Reason",
    "Recipient",
    "compose",
    "decide",
    "fits",
]
