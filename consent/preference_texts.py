"""The words of the preference page, in the shopper's language; they live in `preference_texts.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from consent.answers import DEFAULT_LANGUAGE
from consent.preference import CHOICES, Choice


@dataclass(frozen=True, slots=True)
class Notice:
    """What a choice is about: its name for the shopper, the words they agree to, and how the ledger names the words."""

    label: str
    text: str
    version: str


@dataclass(frozen=True, slots=True)
class Words:
    """Everything the page says in one language; `say` are the plain phrases by name."""

    language: str
    say: Mapping[str, str]
    notices: Mapping[str, Notice]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the words are filled with. A silent phone is forgotten after `minutes`, a visit after `days`."""

    brand: str
    contact: str
    minutes: int
    days: int


def languages() -> dict[str, str]:
    """The languages the page speaks, each with its own name for itself."""
    return {code: texts["language"] for code, texts in _data()[1].items()}


def words_in(language: str, facts: Facts) -> Words:
    """The words in this language, in French where we do not speak it."""
    version, texts = _data()
    code = language if language in texts else DEFAULT_LANGUAGE
    filled = {"brand": facts.brand, "contact": facts.contact, "minutes": facts.minutes, "days": facts.days}
    say = {
        name: text.replace("{date}", "{{date}}").format(**filled)
        for name, text in texts[code].items()
        if isinstance(text, str)
    }
    notices = {
        choice.name: _notice(version, code, choice, texts[code]["notice"][choice.name], filled)
        for choice in CHOICES
    }
    return Words(code, say, notices)


def preferred(accept_language: str | None) -> str:
    """The first language of an Accept-Language header that the page speaks, else French."""
    for part in (accept_language or "").split(",")[:20]:
        code = part.partition(";")[0].strip().partition("-")[0].lower()
        if code in languages():
            return code
    return DEFAULT_LANGUAGE


def _notice(
    version: str, language: str, choice: Choice, texts: list[str], filled: Mapping[str, Any]
) -> Notice:
    label, text = (each.format(**filled) for each in texts)
    digest = sha256(f"{label}\n{text}".encode()).hexdigest()[:16]
    return Notice(label, text, f"preferences-{version}-{language}-{choice.name}-{digest}")


@cache
def _data() -> tuple[str, dict[str, dict[str, Any]]]:
    """The version, and the texts by language."""
    texts = tomllib.loads(files("consent").joinpath("preference_texts.toml").read_text("utf-8"))
    return texts.pop("version"), texts
