"""Looks for a value in files, in every shape that a store, a log or a careless writer might have given it."""

import hashlib
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote


def shapes(value: str) -> set[bytes]:
    """The value as bytes, in every encoding tried. Unkeyed hashes count: of a phone number they are no secret."""
    texts = {value, value[::-1], json.dumps(value)[1:-1], quote(value, safe=""), value.upper(), value.lower()}
    if value.removeprefix("+").isdigit():
        texts |= _written(value)
    found: set[bytes] = set()
    for text in texts:
        found |= {text.encode(each) for each in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")}
        found.add(text.encode("latin-1", "replace"))
        plain = text.encode()
        found |= {plain.hex().encode(), plain.hex().upper().encode()}
        found |= _base64(plain)
        for algorithm in ("md5", "sha1", "sha256", "blake2b"):
            digest = hashlib.new(algorithm, plain).digest()
            found |= {digest, digest.hex().encode(), b64encode(digest).rstrip(b"="), digest[:16]}
    if value.removeprefix("+").isdigit():
        found |= _numbers(value)
    return found


def traces(files: Iterable[Path], values: Mapping[str, str]) -> set[tuple[str, str]]:
    """(name of a value, file) for each value of which a file holds any shape."""
    wanted = {name: shapes(value) for name, value in values.items()}
    found = set()
    for file in files:
        try:
            data = file.read_bytes()
        except (FileNotFoundError, OSError):  # gone in between, or a socket
            continue
        found |= {(name, file.name) for name, forms in wanted.items() if any(form in data for form in forms)}
    return found


def files_in(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return [each for each in folder.rglob("*") if each.is_file()]


def _written(phone: str) -> set[str]:
    digits = phone.removeprefix("+")
    national = "0" + digits[2:]
    pairs = [national[at : at + 2] for at in range(0, len(national), 2)]
    return {digits, digits[::-1], "00" + digits, national, national[::-1], " ".join(pairs), ".".join(pairs)}


def _numbers(phone: str) -> set[bytes]:
    """As integers, and as packed decimals (which telephony swaps pairwise)."""
    digits = phone.removeprefix("+")
    padded = digits if len(digits) % 2 == 0 else digits + "f"
    swapped = "".join(padded[at + 1] + padded[at] for at in range(0, len(padded), 2))
    number = int(digits)
    return {
        number.to_bytes(5, "little"),
        number.to_bytes(5, "big"),
        bytes.fromhex(padded),
        bytes.fromhex(swapped),
    }


def _base64(plain: bytes) -> set[bytes]:
    """At each of the three places that a longer text may put it; what depends on the neighbours is left out."""
    found = set()
    for before in range(3):
        for encode in (b64encode, urlsafe_b64encode):
            text = encode(b"\0" * before + plain).rstrip(b"=")
            found.add(text[(0, 2, 3)[before] : len(text) - 1])
    return found
