"""Who has signed in to the console: sessions in the live store, so that every process knows them, each good for as long as
the key that opened it is.
"""

import hashlib
import hmac
import secrets
import time

from engine.doors.keys import ApiKey, Keys, Scope, hash_of
from engine.live import Live

COOKIE = "chaland_console"
SESSION_SECONDS = 8 * 3600
"""A working day; then one signs in again."""
SCOPE = Scope.PRIVACY
"""What the key must hold: the console shows what single shoppers did."""
TRUSTED_SECONDS = 1.0
"""A session that was found good is taken to be so for this long; an open page asks once a second."""
TRUSTED_LIMIT = 1000
TOKEN_LIMIT_CHARS = 100


class Sessions:
    """The console's sessions. A token is told to one browser; the live store holds only its hash, and the key's id with a
    code that the token and the key's hash make together: what is stolen from there opens nothing.
    """

    def __init__(self, live: Live, keys: Keys) -> None:
        self._live = live
        self._keys = keys
        self._trusted: dict[str, tuple[ApiKey, float]] = {}

    def open(self, key: ApiKey, secret: str) -> str:
        """A new session of whoever has shown this key; answers its token. Raises RedisError."""
        token = secrets.token_urlsafe(32)
        value = f"{key.id} {_code(token, hash_of(secret))}"
        self._live.client.set(_name(token), value, ex=SESSION_SECONDS)
        return token

    def find(self, token: str) -> ApiKey | None:
        """The key that opened a session, while both are good and the key holds `SCOPE`. Raises RedisError."""
        key, until = self._trusted.get(token, (None, 0.0))
        if time.monotonic() < until:
            return key
        self._trusted.pop(token, None)
        key = self._find(token) if token and len(token) <= TOKEN_LIMIT_CHARS else None
        if key is not None:
            if len(self._trusted) >= TRUSTED_LIMIT:
                self._trusted.clear()
            self._trusted[token] = (key, time.monotonic() + TRUSTED_SECONDS)
        return key

    def close(self, token: str) -> None:
        """End a session. Raises RedisError."""
        self._trusted.pop(token, None)
        self._live.client.delete(_name(token))

    def _find(self, token: str) -> ApiKey | None:
        held = self._live.client.get(_name(token))
        if not isinstance(held, bytes):
            return None
        key_id, code = held.decode().split(" ")
        key, hashed = self._keys.standing(key_id) or (None, "")
        if key is None or SCOPE not in key.scopes or not hmac.compare_digest(code, _code(token, hashed)):
            return None
        return key


def _name(token: str) -> str:
    return f"console:{hash_of(token)}"


def _code(token: str, hashed: str) -> str:
    return hmac.new(token.encode(), hashed.encode(), hashlib.sha256).hexdigest()
