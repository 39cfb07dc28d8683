"""The data-protection sheet: what this installation does with personal data, told by its own configuration.

Nothing in it is written by hand that the running system knows: purposes from the ledger's own list, data and periods from
`holdings.toml`, recipients from the channels and the processors' file, counts from the stores.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from config import Settings
from consent.admission import OBJECTION
from consent.age import digital_age
from consent.preference import CHOICES
from consent.preference_texts import Words
from consent.processor import Processor
from consent.request import ANSWERED_WITHIN_MONTHS, EXTENDED_BY_MONTHS
from engine.privacy.holdings import Holding, LiveHolding


def sheet(
    settings: Settings,
    words: Words,
    several: Sequence[Holding],
    live: Sequence[LiveHolding],
    processors: Sequence[Processor],
    rules: Iterable[str],
    counts: dict[str, int],
    at: datetime,
) -> str:
    """The sheet in Markdown. `rules` are lines about the countries' rules in force, `counts` rows by table."""
    parts = [
        _head(settings, at),
        _section("Purposes", _purposes(words)),
        _section("Data, and for how long it is kept", _data(several, counts)),
        _section("Live state", _live(live)),
        _section("Recipients", _recipients(settings, processors)),
        _section("Rights of shoppers", _rights(settings)),
        _section("Measures", _measures(settings)),
        _section(
            "Rules of countries",
            [f"They are {settings.country_rules}.", "", *(f"* {each}" for each in rules)],
        ),
    ]
    return "\n".join(parts)


def counts_of(conn: Connection, several: Sequence[Holding]) -> dict[str, int]:
    """How many rows each table has."""
    return {
        each.table.name: conn.scalar(select(func.count()).select_from(each.table)) or 0 for each in several
    }


def _head(settings: Settings, at: datetime) -> str:
    origin = f"Generated {at:%Y-%m-%d %H:%M} UTC from the running configuration ({settings.env})."
    return f"""# Data-protection sheet of {_cell(settings.brand)}

{origin} Contact: {_cell(settings.contact)}.
It tells what is processed and for how long; whether that is needed and proportionate, and what may go wrong for
shoppers, is for the controller to assess.
"""


def _section(title: str, lines: Iterable[str]) -> str:
    return "\n".join([f"## {title}", "", *lines, ""])


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(_cell(each) for each in row)} |"


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _purposes(words: Words) -> Iterator[str]:
    yield "Consent is the ground of every purpose (GDPR article 6(1)(a)); without it nothing is processed."
    yield ""
    notices = ((choice, words.notices[choice.name]) for choice in CHOICES)
    yield from _table(
        ("purpose", "channel", "what the preference page tells the shopper", "version of the text"),
        (
            (
                choice.purpose.value,
                choice.channel.value if choice.channel else "",
                notice.text,
                notice.version,
            )
            for choice, notice in notices
        ),
    )


def _data(several: Sequence[Holding], counts: dict[str, int]) -> Iterator[str]:
    order = {"shopper": 0, "security": 1, "business": 2}
    yield from _table(
        ("table", "about", "data", "why", "kept", "rows now"),
        (
            (each.table.name, each.about, each.data, each.why, each.duration, counts[each.table.name])
            for each in sorted(several, key=lambda each: order[each.about])
        ),
    )


def _live(live: Sequence[LiveHolding]) -> Iterator[str]:
    yield from _table(
        ("keys", "about", "data", "why", "kept"),
        ((", ".join(each.keys), each.about, each.data, each.why, each.kept) for each in live),
    )


def _recipients(settings: Settings, processors: Sequence[Processor]) -> Iterator[str]:
    if settings.sms_channel == "twilio":
        yield "Messages leave through Twilio: the number and the text of each."
    else:
        yield "No message leaves the house: the SMS channel only logs."
    yield ""
    if not processors:
        yield "No processor is declared (CHALAND_PROCESSORS_PATH)."
        return
    yield from _table(
        ("processor", "task", "data", "country", "safeguard", "told of an erasure"),
        (
            (
                each.name,
                each.task,
                each.data,
                each.country,
                each.safeguard,
                "by call" if each.url else "by a person",
            )
            for each in processors
        ),
    )


def _rights(settings: Settings) -> Iterator[str]:
    age = digital_age(settings.default_region)
    unknown = "refused" if settings.age_must_be_known == "yes" else "allowed"
    yield f"* Choices, access, objection and erasure on a page behind a signed link, good for {settings.preference_link_days} days."
    yield f"* Unsubscribing in one click, by a link good for {settings.unsubscribe_link_days} days."
    yield f"* Requests are due within {ANSWERED_WITHIN_MONTHS} month, extended once by {EXTENDED_BY_MONTHS} with a reason."
    yield f"* An {OBJECTION} ends every purpose at once; only the shopper can undo it."
    yield f"* Whoever is younger than the country's age ({age} in {settings.default_region}) holds no consent; of unknown age: {unknown}."
    yield f"* Whoever has been silent for {settings.inactive_days} days is erased."


def _measures(settings: Settings) -> Iterator[str]:
    records = "PostgreSQL" if settings.database_url.startswith("postgres") else "SQLite in the data directory"
    live = "a server of its own" if settings.valkey_url else "an embedded server in the data directory"
    yield f"* Records: {records}. Live state: {live}."
    yield f"* No raw position reaches the records; a silent phone is forgotten after {settings.state_expiry_seconds} s."
    yield f"* A ping older than {settings.ping_age_limit_seconds} s is refused; so is one of a subject without consent."
    yield "* Consent is asked when a ping arrives, when a campaign decides, and when a message is claimed."
    yield f"* Opt-outs by text are answered by: {settings.replies_by}."
    signed = "checked" if settings.twilio_auth_tokens else "refused, as no token is set"
    yield f"* Signatures of the provider's calls are {signed}."
    yield "* API keys are kept as hashes and have scopes; links are signed with a key that no store holds."
