"""A text as it sounds, however its letters were typed: full width, in circles, with look-alikes, spelt out."""

import re
import unicodedata

_CYRILLIC = dict(zip("авеіјкмнорстуѕхһԁӏ", "abeijkmhopctysxhdl", strict=True))
_GREEK = dict(zip("αβεζηικμνορστυχς", "abezhikmnopstyxs", strict=True))
_SMALL_CAPITALS = dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz", strict=True))
_LATIN = dict(zip("øłıđðħɑɡƨ", "oliddhags", strict=True)) | {"æ": "ae", "œ": "oe", "þ": "th"}
_REGIONAL = {chr(0x1F1E6 + place): chr(ord("a") + place) for place in range(26)}
_NEGATIVE = {chr(first + place): chr(ord("a") + place) for first in (0x1F150, 0x1F170) for place in range(26)}
LOOKALIKES = str.maketrans({**_CYRILLIC, **_GREEK, **_SMALL_CAPITALS, **_LATIN, **_REGIONAL, **_NEGATIVE})
"""Letters that are read as Latin ones and that Unicode does not decompose into them, small ones only."""

_DIGITS = str.maketrans("013457$@", "oieastsa")
_MIXED = re.compile(r"(?<![^\W_])(?:[a-z]+[013457$@]+)+[a-z]+(?![^\W_])")
"""A digit amid letters, as in st0p; one at an end, as in stop1, is a number beside a word."""

_LOOSE_ACCENTS = re.compile(r"(?<=[a-z])[\^`´¨~](?=[a-z])")


def normalise_text(text: str) -> str:
    """Small Latin letters without accents, invisible characters or punctuation, one space between words."""
    plain = _LOOSE_ACCENTS.sub("", text.casefold() if text.isascii() else _latin(text))
    plain = _MIXED.sub(lambda word: word[0].translate(_DIGITS), plain)
    return " ".join(re.findall(r"[^\W_]+", plain))


def _latin(text: str) -> str:
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    seen = "".join(char for char in letters if unicodedata.category(char) not in ("Mn", "Mc", "Me", "Cf"))
    return unicodedata.normalize("NFKD", seen.translate(LOOKALIKES))


def spelt_plainly(said: str) -> str:
    """Normalised text in which stoooop and s t o p have become stop."""
    drawn = re.sub(r"([^\W\d_])\1{2,}", r"\1", " ".join(said.split()))
    return re.sub(r"\b(?:[^\W\d_] ){2,}[^\W\d_]\b", lambda spelt: spelt[0].replace(" ", ""), drawn)


def is_slip(typed: str, meant: str) -> bool:
    """Whether one slip of the finger makes `typed` of `meant`: a letter too many, too few, another, or two swapped."""
    if typed == meant or abs(len(typed) - len(meant)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(typed, meant, strict=False)) if a != b), None)
    if start is None:
        return True  # one is the other with a letter more
    rest, wanted = typed[start:], meant[start:]
    swapped = rest[:2] == wanted[1::-1] and rest[2:] == wanted[2:] and len(wanted) > 1
    return swapped or rest[1:] == wanted[1:] or rest[1:] == wanted or rest == wanted[1:]
