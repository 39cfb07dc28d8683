"""Encryption of a Web Push message for one browser: RFC 8291 over RFC 8188 (`aes128gcm`), in one record."""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RECORD_BYTES = 4096
SALT_BYTES = 16
TEXT_LIMIT_BYTES = 3993
"""What fits into a body of 4096 bytes, which every push service takes (RFC 8030, section 7.2): less header, tag, delimiter."""
CURVE = ec.SECP256R1()


def encrypt(
    text: bytes,
    p256dh: str,
    auth: str,
    *,
    ours: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """The body for the browser whose subscription has these keys (base64url). A key and a salt of its own for each
    message; they are given for tests only. Raises ValueError on keys that are none, and on a text that is too long.
    """
    if len(text) > TEXT_LIMIT_BYTES:
        raise ValueError(f"a push holds {TEXT_LIMIT_BYTES} bytes at most")
    theirs_raw, secret = unpadded(p256dh), unpadded(auth)
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, theirs_raw)
    ours = ours or ec.generate_private_key(CURVE)
    salt = salt or os.urandom(SALT_BYTES)
    ours_raw = public_bytes(ours.public_key())
    key, nonce = keys(ours.exchange(ec.ECDH(), theirs), secret, salt, theirs_raw, ours_raw)
    sealed = AESGCM(key).encrypt(nonce, text + b"\x02", None)  # 2 marks the last record
    return salt + RECORD_BYTES.to_bytes(4, "big") + bytes([len(ours_raw)]) + ours_raw + sealed


def keys(
    shared: bytes, secret: bytes, salt: bytes, theirs_raw: bytes, ours_raw: bytes
) -> tuple[bytes, bytes]:
    """Content encryption key and nonce (RFC 8291, section 3.4)."""
    seed = _hkdf(secret, b"WebPush: info\x00" + theirs_raw + ours_raw, 32, shared)
    return (
        _hkdf(salt, b"Content-Encoding: aes128gcm\x00", 16, seed),
        _hkdf(salt, b"Content-Encoding: nonce\x00", 12, seed),
    )


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """The public key as an uncompressed point, 65 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def unpadded(text: str) -> bytes:
    """base64url, with or without its padding. Raises ValueError."""
    return urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))


def in_base64url(data: bytes) -> str:
    """Without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _hkdf(salt: bytes, info: bytes, length: int, seed: bytes) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(seed)
