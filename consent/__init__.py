"""Who allowed what, since when, and the proof."""

from consent.entry import Action, Channel, Entry, Purpose, Reason, Standing, standing
from consent.errors import ConsentError, FieldError
from consent.keywords import Verdict, classify
from consent.subject import Device, Subject

__all__ = [
    "Action",
    "Channel",
    "ConsentError",
    "Device",
    "Entry",
    "FieldError",
    "Purpose",
    "Reason",
    "Standing",
    "Subject",
    "Verdict",
    "classify",
    "standing",
]
