"""What the settings say of all campaigns together."""

from campaigns.account import Account, caps_from_text
from config import InvalidSettings, Settings


def account_of(settings: Settings) -> Account:
    """The limits over all campaigns. Raises `InvalidSettings`."""
    try:
        caps = caps_from_text(settings.account_caps)
    except ValueError as error:
        raise InvalidSettings(f"CHALAND_ACCOUNT_CAPS: {error}") from error
    return Account(caps, settings.account_min_gap_seconds or None)
