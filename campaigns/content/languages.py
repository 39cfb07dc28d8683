"""The languages of a template: one text for everybody, or one per language, and what becomes of readers of another."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from campaigns.content.template import MAX_TEMPLATE_CHARS, TextRefused
from campaigns.errors import FieldError

Template = str | Mapping[str, str]
"""One text, or texts by language tag."""
MAX_LANGUAGES = 20
TAG = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,4}")
"""Of BCP 47: a language, then script, region or variants."""


class MissingLocale(StrEnum):
    """What becomes of a reader for whose language there is no text."""

    USE_DEFAULT = "use_default"
    DO_NOT_SEND = "do_not_send"


class NoTextInLanguage(TextRefused):
    """There is no text for the reader's language, and the campaign says not to send then."""


@dataclass(frozen=True, slots=True)
class Languages:
    """`default` is the tag of the text for everybody else; of a template with one text, the language that it is in.
    `missing` must be said where there are several texts, and only there.
    """

    default: str | None = None
    missing: MissingLocale | None = None


ONE_TEXT = Languages()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The text for a reader, and the tag of the language in which its dates and amounts are written."""

    text: str
    locale: str | None


def template_of(said: Any) -> str | dict[str, str]:
    """A template as a marketer sends it, of the right shape and size. Raises `ValueError`."""
    texts = {"": said} if isinstance(said, str) else said
    if not isinstance(texts, dict) or not 1 <= len(texts) <= MAX_LANGUAGES:
        raise ValueError(f"a text, or 1 to {MAX_LANGUAGES} texts under their language tags, is expected")
    if not all(isinstance(text, str) and 1 <= len(text) <= MAX_TEMPLATE_CHARS for text in texts.values()):
        raise ValueError(f"a text holds 1 to {MAX_TEMPLATE_CHARS} characters")
    return said if isinstance(said, str) else {str(tag): str(text) for tag, text in texts.items()}


def texts_of(template: Template, field: str = "template") -> dict[str, str]:
    """Every text by the field that holds it: `template`, or `template.fr`."""
    if isinstance(template, str):
        return {field: template}
    return {f"{field}.{tag}": text for tag, text in template.items()}


def choose(template: Template, languages: Languages, reader: str | None) -> Chosen:
    """The text for a reader with this language tag (None: nobody knows it). Raises `NoTextInLanguage`."""
    if isinstance(template, str):
        return Chosen(template, languages.default or reader)
    tag = lookup(reader, template) if reader else None
    if tag is None and languages.missing is MissingLocale.USE_DEFAULT:
        tag = languages.default
    if tag is None:
        raise NoTextInLanguage(
            "there is no text in the reader's language, and missing_locale says do_not_send"
        )
    # A reader of fr-CA who is served with the text in fr still writes amounts the way of Canada.
    return Chosen(template[tag], reader if reader and lookup(reader, [tag]) else tag)


def lookup(reader: str, available: Iterable[str]) -> str | None:
    """The best of the available tags for a reader by RFC 4647, section 3.4 (Lookup): the reader's tag is shortened
    from its end until one fits, and a single letter or digit goes with what followed it. None if none does.
    """
    known = {tag.lower(): tag for tag in available}
    wanted = reader.replace("_", "-").lower().split("-")
    while wanted:
        if (tag := known.get("-".join(wanted))) is not None:
            return tag
        wanted.pop()
        if wanted and len(wanted[-1]) == 1:
            wanted.pop()
    return None


def language_problems(template: Template, languages: Languages) -> Iterator[FieldError]:
    """The rules between a template and its languages that are broken."""
    default, missing = languages.default, languages.missing
    if default is not None and not TAG.fullmatch(default):
        yield FieldError("default_locale", "must be a language tag, such as fr or fr-CA")
    if isinstance(template, str):
        if missing is not None:
            yield FieldError("missing_locale", "is said of a template with a text per language; drop it")
        return
    if not all(TAG.fullmatch(tag) for tag in template):
        yield FieldError("template", "texts stand under language tags, such as fr or fr-CA")
    if len({tag.lower() for tag in template}) < len(template):
        yield FieldError("template", "two texts stand under the same language tag; keep one of them")
    if missing is None:
        allowed = " or ".join(each.value for each in MissingLocale)
        yield FieldError("missing_locale", f"say what becomes of readers of another language: {allowed}")
    if missing is MissingLocale.USE_DEFAULT and default not in template:
        yield FieldError("default_locale", f"use_default needs one of {', '.join(sorted(template))} here")
    if missing is MissingLocale.DO_NOT_SEND and default is not None:
        yield FieldError("default_locale", "is never used where missing_locale says do_not_send; drop it")


def languages_json(languages: Languages) -> dict[str, Any]:
    """The two fields of a campaign."""
    missing = languages.missing.value if languages.missing else None
    return {"default_locale": languages.default, "missing_locale": missing}


def languages_from_json(raw: Mapping[str, Any]) -> Languages:
    """Read back what `languages_json` wrote into a campaign; one from before languages has one text."""
    missing = raw.get("missing_locale")
    return Languages(raw.get("default_locale"), MissingLocale(missing) if missing else None)
