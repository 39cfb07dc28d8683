"""The key that signs shoppers' links: from the settings, or in development from a file that is made at first use."""

import os
import secrets

from config import Settings

LINK_KEY_FILE = "preference.key"


def link_keys(settings: Settings) -> tuple[bytes, ...]:
    """The keys, that which signs first. Production refuses to start without one in its settings."""
    if settings.preference_keys:
        return settings.preference_keys
    file = settings.data_dir / LINK_KEY_FILE
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return (file.read_bytes().strip(),)
    made = secrets.token_urlsafe(32).encode()
    with os.fdopen(handle, "wb") as opened:
        opened.write(made)
    return (made,)
