"""The command `chaland`: all its words, and who answers each."""

import logging
from collections.abc import Callable, Mapping

import typer

from engine.commands import (
    beacons,
    bench,
    campaigns,
    decisions,
    geofences,
    installation,
    keys,
    ledger,
    privacy,
    provider,
    quarantine,
    recordings,
    rules,
    stories,
    texts,
    vault,
)

Commands = Mapping[str, Callable[..., None]]

COMMANDS: Commands = {
    "serve": installation.serve,
    "demo": installation.demo,
    "replay": recordings.replay,
    "ablation": recordings.ablation,
    "nearness": recordings.nearness,
    "ranging": recordings.ranging,
    "fit-jams": recordings.fit_jams,
    "story": stories.story,
    "bench": bench.bench,
    "check": installation.check,
    "provider": provider.provider,
}
GROUPS: tuple[tuple[str, str, Commands], ...] = (
    (
        "geofences",
        "Bring geofences in, or take them out, as GeoJSON.",
        {"import": geofences.import_geofences, "export": geofences.export_geofences},
    ),
    (
        "beacons",
        "Bring beacons in, or take them out, as a JSON list.",
        {
            "import": beacons.import_beacons,
            "export": beacons.export_beacons,
            "health": beacons.beacons_health,
        },
    ),
    (
        "rules",
        "The rules of countries: when, how often, from whom and with which words.",
        {"list": rules.list_rules, "explain": rules.explain_rules},
    ),
    ("campaigns", "Try campaigns out.", {"backtest": campaigns.backtest}),
    ("decisions", "What was decided, and whether it still follows.", {"replay": decisions.replay}),
    (
        "consent",
        "The consent ledger, and what shoppers write.",
        {
            "classify": texts.classify,
            "breaches": ledger.breaches,
            "verify": ledger.verify_ledger,
            "checkpoint": ledger.take_checkpoint,
            "proof": ledger.prove_consent,
            "check-receipt": ledger.check_receipt,
            "keys": ledger.ledger_keys,
            "rotate-key": ledger.rotate_ledger_key,
            "reviews": texts.list_reviews,
            "settle": texts.settle_review,
            "export": privacy.export,
            "link": privacy.link,
            "import": privacy.import_,
            "erase": privacy.erase,
            "requests": privacy.requests,
            "notices": privacy.notices,
            "purge": privacy.purge,
            "dpia": privacy.dpia,
        },
    ),
    (
        "keys",
        "API keys.",
        {
            "create": keys.create_key,
            "list": keys.list_keys,
            "secret": keys.key_secret,
            "revoke": keys.revoke_key,
        },
    ),
    (
        "quarantine",
        "Entries of the logs of signals and events that could not be read.",
        {
            "list": quarantine.list_quarantine,
            "retry": quarantine.retry_quarantine,
            "drop": quarantine.drop_quarantine,
        },
    ),
    (
        "vault",
        "The keys that seal what is held of people.",
        {"rotate": vault.rotate_vault, "prepare": vault.prepare_vault, "retire": vault.retire_vault},
    ),
)
NOISY_LOGGERS = ("httpx2", "apscheduler", "alembic", "twilio")
"""Only their warnings are logged: their other lines hold addresses and phone numbers."""

app = typer.Typer(
    help="Chaland hears where consenting shoppers are, knows the moment that matters, and sends one lawful offer, "
    "or nothing and says why.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


def _add(commands: Commands, to: typer.Typer) -> None:
    for word, answer in commands.items():
        to.command(word)(answer)


_add(COMMANDS, app)
for _name, _help, _commands in GROUPS:
    _group = typer.Typer(help=_help, no_args_is_help=True)
    _add(_commands, _group)
    app.add_typer(_group, name=_name)


def main() -> None:
    """Run the command; a mistake in the settings or in a file is told in words, without a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for noisy in NOISY_LOGGERS:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    app()


if __name__ == "__main__":
    main()
