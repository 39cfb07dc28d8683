"""The short texts that answer a shopper's STOP, START and HELP, in the shopper's language; they live in `answers.toml`."""

import tomllib
from enum import StrEnum
from functools import cache
from html import escape
from importlib.resources import files

from consent.phone import region_of

DEFAULT_LANGUAGE = "fr"


class Answer(StrEnum):
    """The kind of answer; `none` is silence."""

    OPTED_OUT = "opted_out"
    OPTED_IN = "opted_in"
    HELP = "help"
    OPT_IN_REQUEST = "opt_in_request"
    NONE = "none"


def language_of(locale: str | None, phone: str | None) -> str:
    """The language to answer in: the locale's if we speak it, else that of the number's country, else French."""
    texts, regions = _data()
    language = (locale or "").replace("_", "-").split("-")[0].lower()
    if language in texts:
        return language
    return DEFAULT_LANGUAGE if phone is None else regions.get(region_of(phone), DEFAULT_LANGUAGE)


def words_of(answer: Answer, language: str, *, brand: str, contact: str) -> str | None:
    """The text of an answer; None for silence."""
    if answer is Answer.NONE:
        return None
    texts, _ = _data()
    return texts[language][answer].format(brand=brand, contact=contact)


def twiml(reply: str | None) -> str:
    """The answer as Twilio reads it: one message, or an empty response."""
    message = "" if reply is None else f"<Message>{escape(reply, quote=False)}</Message>"
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{message}</Response>'


@cache
def _data() -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """The texts by language, and the language by region."""
    texts = tomllib.loads(files("consent").joinpath("answers.toml").read_text("utf-8"))
    regions = texts.pop("regions")
    return texts, {region: language for language, places in regions.items() for region in places}
