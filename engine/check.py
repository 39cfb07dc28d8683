"""Tells what is configured, and whether the stores behind it answer."""

from collections.abc import Iterator
from pathlib import Path

from redis.exceptions import RedisError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from config import Settings
from consent.countries.pack import overdue
from engine.clock import wall_clock
from engine.live import LiveStoreMismatch, open_live, without_password
from engine.records import open_records
from engine.schema import current_step, newest_step
from engine.valkey import ValkeyDidNotStart


def check_stores(settings: Settings) -> Iterator[tuple[str, bool]]:
    """Lines to print, each with whether it is good. Addresses are shown without their passwords."""
    yield f"environment: {settings.env}", True
    yield f"data directory: {settings.data_dir.resolve()}", _writable(settings.data_dir)
    yield _records(settings)
    yield _vault(settings.vault_keys)
    yield _live(settings)
    messages = (
        "SMS are logged, nobody is messaged" if settings.sms_channel == "log" else "SMS go through Twilio"
    )
    yield f"channel: {messages}", True
    rules = f"up to the {settings.sending_hours} hours" if settings.country_rules == "enforced" else "OFF"
    late = len(overdue(wall_clock().date()))
    yield f"country rules: {rules}; {late} are past their review, see `chaland rules list`", True
    token = "checked" if settings.twilio_auth_tokens else "refused: CHALAND_TWILIO_AUTH_TOKEN is not set"
    yield f"Twilio callbacks: {token}", True


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def _records(settings: Settings) -> tuple[str, bool]:
    shown = make_url(settings.records_url).render_as_string(hide_password=True)
    try:
        records = open_records(settings.records_url)
        try:
            with records.reads.connect() as connection:
                step = current_step(connection)
        finally:
            records.close()
    except SQLAlchemyError as error:
        return f"records: {shown} does not answer ({type(error).__name__}); see CHALAND_DATABASE_URL", False
    newest = newest_step()
    state = "new; its tables are made at the first start" if step is None else f"schema {step}"
    if step not in (None, newest):
        state += f", which the next start brings to {newest}"
    return f"records: {shown} answers, {state}", True


def _vault(keys: Path) -> tuple[str, bool]:
    if not keys.exists():
        return f"vault: no keys in {keys} yet; the first start makes them", True
    if keys.stat().st_mode & 0o077:
        return f"vault: {keys} can be read by others; chmod 600 it", False
    return f"vault: keys in {keys}; keep a copy apart from the database", True


def _live(settings: Settings) -> tuple[str, bool]:
    shown = without_password(settings.valkey_url) or "embedded"
    try:
        live = open_live(settings.valkey_url, settings.data_dir, settings.partitions)
        try:
            version = live.version()
        finally:
            live.close()
    except (RedisError, LiveStoreMismatch, ValkeyDidNotStart, OSError) as error:
        return f"live store: {shown} does not answer ({error}); see CHALAND_VALKEY_URL", False
    return f"live store: {shown} answers, {version}, {settings.partitions} partitions", True
