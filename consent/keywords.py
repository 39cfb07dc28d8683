"""What a shopper means by a text: stop, start, help, or something else. The words are data, in `keywords.toml`."""

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise

from consent.lettering import is_slip, normalise_text, spelt_plainly

SHORT_MESSAGE_WORDS = 4
"""A stop word anywhere among so few words means stop; in a longer message only as the first one."""

SHORT_HELP_WORDS = 3
LONG_WORD_CHARS = 8
"""A stop word this long is known again with one slip of the finger in it; a shorter one would be another word."""


class Verdict(StrEnum):
    """What a text is taken to mean. `ambiguous` holds a stop word in a longer text: doubt favours the opt-out."""

    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"
    HELP = "help"
    AMBIGUOUS = "ambiguous"
    OTHER = "other"


SUPPRESSING = frozenset({Verdict.OPT_OUT, Verdict.AMBIGUOUS})
"""Verdicts after which nothing more is sent."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Every language's words and patterns, as one; `long` are the stop words that stay legible with a slip in them."""

    stop: frozenset[str]
    alone: frozenset[str]
    only: frozenset[str]
    slips: frozenset[str]
    start: frozenset[str]
    yes: frozenset[str]
    help: frozenset[str]
    phrases: re.Pattern[str]
    innocent: re.Pattern[str]
    doubt: re.Pattern[str]
    polite: re.Pattern[str]
    long: tuple[str, ...]


@cache
def vocabulary() -> Vocabulary:
    """The union of all languages in `keywords.toml`."""
    languages = tomllib.loads(files("consent").joinpath("keywords.toml").read_text("utf-8")).values()

    def union(kind: str) -> list[str]:
        said = {_filled(word, language["sets"]) for language in languages for word in language.get(kind, ())}
        return sorted(said, key=len, reverse=True)

    def words(kind: str) -> frozenset[str]:
        return frozenset(union(kind))

    stop = words("stop")
    return Vocabulary(
        stop=stop,
        alone=words("alone"),
        only=words("only"),
        slips=words("slips"),
        start=words("start"),
        yes=words("yes"),
        help=words("help"),
        phrases=_any_of(union("phrases")),
        innocent=_any_of(union("innocent")),
        doubt=_any_of(union("doubt")),
        polite=_any_of(union("polite")),
        long=tuple(sorted(word for word in stop if len(word) >= LONG_WORD_CHARS)),
    )


def classify(text: str) -> Verdict:
    """What the text means, whatever its language. An opt-out wins over anything else it might mean as well."""
    known = vocabulary()
    clauses = _clauses(text, known)
    core = [_meant(word, known) for word in _words(spelt_plainly(" ".join(clauses)))]
    if _opts_out(core, known) or any(_opts_out_alone(_words(clause), known) for clause in clauses):
        return Verdict.OPT_OUT
    whole = " ".join(core)
    if any(word in known.stop or word in known.alone for word in core) or known.doubt.search(whole):
        return Verdict.AMBIGUOUS
    if whole in known.start | known.yes:
        return Verdict.OPT_IN
    if len(core) <= SHORT_HELP_WORDS and any(word in known.help for word in core):
        return Verdict.HELP
    return Verdict.OTHER


def adds_way_out(text: str, written: str = "") -> bool:
    """Whether a text holds a word by which offers are refused (STOP, unsubscribe, "opt out") that what was `written`
    for it does not hold. "Bus stop" is none, nor a word that has other meanings, such as "end".
    """
    known = vocabulary()
    if _ways_out(normalise_text(text), known) <= _ways_out_written(written):
        return False
    plain, before = (" ".join(_clauses(each, known)) for each in (text, written))
    return not _ways_out(plain, known) <= _ways_out(before, known)


@lru_cache(maxsize=256)
def _ways_out_written(text: str) -> frozenset[str]:
    return _ways_out(normalise_text(text), vocabulary())


def _ways_out(normal: str, known: Vocabulary) -> frozenset[str]:
    said = _words(spelt_plainly(normal))
    pairs = (f"{word} {following}" for word, following in pairwise(said))
    return frozenset([*known.stop.intersection(said), *(pair for pair in pairs if pair == "opt out")])


def is_mere_yes(text: str) -> bool:
    """Whether the text only says yes: an answer to a question, not a wish of its own."""
    known = vocabulary()
    return " ".join(_words(" ".join(_clauses(text, known)))) in known.yes


def _opts_out(core: list[str], known: Vocabulary) -> bool:
    if not core:
        return False
    whole = " ".join(core)
    if whole in known.only or all(word in known.stop or word in known.alone for word in core):
        return True
    short = len(core) <= SHORT_MESSAGE_WORDS and any(word in known.stop for word in core)
    return short or core[0] in known.stop or known.phrases.search(whole) is not None


def _opts_out_alone(clause: list[str], known: Vocabulary) -> bool:
    """A sentence of its own: "I asked you twice already, stop"."""
    return bool(clause) and all(word in known.stop for word in clause)


def _clauses(text: str, known: Vocabulary) -> list[str]:
    """The normalised text, clause by clause, less what only looks like a stop word and what says nothing:
    "non-stop" goes, the stop of "Non, stop" stays.
    """
    written = re.split(r"[.,;:!?…\n]+", unicodedata.normalize("NFKC", text))
    return [known.polite.sub(" ", known.innocent.sub(" ", normalise_text(clause))) for clause in written]


def _words(said: str) -> list[str]:
    """Numbers, such as the short code that is to stop, say nothing."""
    return re.findall(r"[^\W\d_]+", said)


def _meant(word: str, known: Vocabulary) -> str:
    """The stop word that a slip of the finger made into `word`; else the word itself."""
    if word in known.slips:
        return "stop"
    if len(word) < LONG_WORD_CHARS - 1 or word in known.start | known.stop | known.alone:
        return word
    return next((meant for meant in known.long if meant[0] == word[0] and is_slip(word, meant)), word)


def _filled(pattern: str, sets: Mapping[str, str]) -> str:
    return re.sub(r"<(\w+)>", lambda name: f"(?:{sets[name[1]]})", pattern)


def _any_of(patterns: list[str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(patterns)})\b")
