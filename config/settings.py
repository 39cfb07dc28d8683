"""The settings of one process: defaults, then the environment. Read once, by engine, and handed down as values."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

PREFIX = "CHALAND_"
DEMO_TWILIO_TOKEN = "demo"  # noqa: S105  # known to everybody, and refused in production
"""Signs the texts of the demo's shoppers; known to everybody."""
PREFERENCE_KEY_LEAST_CHARS = 32
RETENTION_LIMITS_DAYS = {
    "event_retention_days": (1, 90),
    "visit_retention_days": (30, 400),
    "message_retention_days": (367, 1826),
    "inactive_days": (365, 1096),
}
"""The least and the most that may be set: an event is kept three months at most; absences and caps look back a year."""
DEVELOPMENT_VALUES = {
    "admin_key": ("",),
    "preference_key": ("",),
    "public_url": ("http://127.0.0.1:8000",),
    "twilio_auth_token": (DEMO_TWILIO_TOKEN,),
    "country_rules": ("off",),
    "outgoing": ("any",),
}
"""Values that production refuses, by setting."""
MAY_BE_ZERO = (
    "durable_replicas",
    "account_min_gap_seconds",
    "account_messages_per_day",
    "global_control_percent",
)
LONGEST_CALL_SECONDS = 10


class InvalidSettings(ValueError):
    """Settings that cannot be used; the message has one line per problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting; `default.toml` explains each and holds the same defaults."""

    env: Literal["development", "production"] = "development"
    data_dir: Path = Path(".data")
    database_url: str = field(default="", repr=False)
    valkey_url: str = field(default="", repr=False)
    vault_path: str = ""
    public_url: str = "http://127.0.0.1:8000"
    admin_key: str = field(default="", repr=False)

    sms_channel: Literal["log", "twilio"] = "log"
    brand: str = "Chaland"
    link_domains: str = ""
    contact: str = "contact@example.org"
    replies_by: Literal["engine", "provider", "none"] = "engine"
    default_region: str = "FR"
    second_yes_regions: str = "DE"
    country_rules: Literal["enforced", "off"] = "enforced"
    sending_hours: Literal["default", "latest"] = "default"
    sensitive_places: str = ""
    approval_above_subjects: str = "none"
    global_control_percent: int = 0
    global_control_salt: str = "global"
    report_minimum_people: int = 10
    visit_within_hours: int = 24
    currency: str = "EUR"
    test_recipients: str = ""

    account_caps: str = ""
    account_min_gap_seconds: int = 0
    account_messages_per_day: int = 0
    account_spend_per_day: str = ""
    account_timezone: str = "Europe/Paris"
    segment_costs: str = ""

    ledger_key: str = field(default="", repr=False)
    checkpoint_seconds: int = 3600
    grants: Literal["named", "complete"] = "named"

    preference_key: str = field(default="", repr=False)
    preference_link_days: int = 30
    unsubscribe_link_days: int = 400
    processors_path: str = ""
    age_must_be_known: Literal["no", "yes"] = "no"
    event_retention_days: int = 30
    visit_retention_days: int = 120
    message_retention_days: int = 395
    inactive_days: int = 1096

    twilio_account_sid: str = ""
    twilio_auth_token: str = field(default="", repr=False)
    twilio_webhook_secret: str = field(default="", repr=False)
    twilio_messaging_service_sid: str = ""
    twilio_from: str = ""
    twilio_api_url: str = ""
    twilio_timeout_seconds: float = 10.0

    sms_countries: str = ""
    sms_per_second_limit: float = 100.0
    sms_sender_per_second_limit: float = 10.0
    sms_per_day_limit: int = 100_000
    sms_spend_per_day_limit: float = 1000.0
    sms_segment_price: float = 0.08
    sms_per_prefix_limit: int = 500
    sms_prefix_window_seconds: int = 600

    push_path: str = ""
    push_while_driving: Literal["silent", "normal"] = "silent"
    push_per_second_limit: float = 200.0
    push_per_day_limit: int = 1_000_000

    outgoing: Literal["public", "any"] = "public"
    outgoing_ports: str = "443 8443"

    partitions: int = 4
    lease_seconds: float = 10.0
    batch_entries: int = 256
    state_expiry_seconds: int = 1800
    live_timeout_seconds: float = 5.0
    durable_replicas: int = 0
    durable_on: Literal["memory", "disk"] = "memory"
    log_limit_entries: int = 100_000
    event_limit_entries: int = 100_000

    body_limit_bytes: int = 65_536
    bulk_body_limit_bytes: int = 1_048_576
    import_body_limit_bytes: int = 33_554_432
    pings_per_body_limit: int = 1000
    ping_age_limit_seconds: int = 900
    ping_future_limit_seconds: int = 120
    requests_per_second_limit: int = 2000

    @property
    def records_url(self) -> str:
        """The records store's SQLAlchemy URL, the embedded SQLite file unless another is set."""
        return self.database_url or f"sqlite:///{self.data_dir / 'records.sqlite'}"

    @property
    def vault_keys(self) -> Path:
        """The file with the keys of the vault."""
        return Path(self.vault_path) if self.vault_path else self.data_dir / "vault.keys"

    @property
    def second_yes(self) -> frozenset[str]:
        """The countries whose numbers must themselves agree to offers by SMS."""
        return frozenset(self.second_yes_regions.replace(",", " ").upper().split())

    @property
    def allowed_countries(self) -> frozenset[str]:
        """The countries whose numbers get texts; empty for all whose rules are known."""
        return frozenset(self.sms_countries.replace(",", " ").upper().split())

    @property
    def ports_called(self) -> frozenset[int]:
        """The ports that webhooks may be sent to. Raises ValueError."""
        ports = frozenset(int(port) for port in self.outgoing_ports.replace(",", " ").split())
        if not all(0 < port < 65_536 for port in ports):
            raise ValueError
        return ports

    @property
    def preference_keys(self) -> tuple[bytes, ...]:
        """The keys of shoppers' links: the first signs, and the others are trusted while it is rotated."""
        return tuple(key.strip().encode() for key in self.preference_key.split(",") if key.strip())

    @property
    def test_subjects(self) -> frozenset[str]:
        """The subjects to whom tests of campaigns may be sent."""
        return frozenset(self.test_recipients.split())

    @property
    def twilio_webhook_secrets(self) -> tuple[str, ...]:
        """The secrets that Twilio's calls are signed with in place of the token: the new one, and the old one."""
        return tuple(secret.strip() for secret in self.twilio_webhook_secret.split(",") if secret.strip())

    @property
    def approval_threshold(self) -> int | None:
        """How many shoppers a campaign may reach before a second person must approve it; 0: always, None: never."""
        return None if self.approval_above_subjects == "none" else int(self.approval_above_subjects)

    @property
    def twilio_auth_tokens(self) -> tuple[str, ...]:
        """The tokens that a callback may be signed with: the new one, and the old one while it is rotated."""
        return tuple(token.strip() for token in self.twilio_auth_token.split(",") if token.strip())


def load_settings(environ: Mapping[str, str], **given: Any) -> Settings:
    """Defaults, then `environ`, then the values `given` (from a command line); `None` counts as not given.

    Raises `InvalidSettings` that lists every problem, so that an operator mends them in one go.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    known = {each.name: each.type for each in fields(Settings)}
    for name, kind in known.items():
        try:
            text = _from_environment(environ, name)
            if text is not None:
                values[name] = _as(kind, text)
        except (ValueError, OSError) as error:
            problems.append(f"{PREFIX}{name.upper()}: {error}")
    for variable in sorted(environ):
        stem = variable.removeprefix(PREFIX).removesuffix("_FILE").lower()
        if variable.startswith(PREFIX) and stem not in known:
            problems.append(f"{variable}: no such setting; config/default.toml lists them all")
    values |= {name: value for name, value in given.items() if value is not None}
    if problems:
        raise InvalidSettings("\n".join(problems))
    settings = Settings(**values)
    if problems := [*_impossible(settings), *_unfit_for_production(settings)]:
        raise InvalidSettings("\n".join(problems))
    return settings


def default_values() -> dict[str, Any]:
    """What `default.toml` says, by name."""
    return tomllib.loads(resources.files("config").joinpath("default.toml").read_text(encoding="utf-8"))


def _from_environment(environ: Mapping[str, str], name: str) -> str | None:
    variable = PREFIX + name.upper()
    if path := environ.get(f"{variable}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return environ.get(variable) or None  # set to nothing is not set


def _as(kind: Any, text: str) -> Any:
    if get_origin(kind) is Literal:
        allowed = get_args(kind)
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise ValueError("must be a whole number" if kind is int else "must be a number") from None
    return kind(text)


def _impossible(settings: Settings) -> list[str]:
    problems = [
        f"{PREFIX}{each.name.upper()}: must be greater than zero"
        for each in fields(Settings)
        if each.type in (int, float) and getattr(settings, each.name) <= 0 and each.name not in MAY_BE_ZERO
    ]
    problems += [
        f"{PREFIX}{name.upper()}: must be zero or more" for name in MAY_BE_ZERO if getattr(settings, name) < 0
    ]
    if settings.twilio_timeout_seconds > LONGEST_CALL_SECONDS:
        problems.append(
            f"CHALAND_TWILIO_TIMEOUT_SECONDS: must be at most {LONGEST_CALL_SECONDS}, for opt-outs wait for calls"
        )
    if not 0 <= settings.global_control_percent <= 50:
        problems.append("CHALAND_GLOBAL_CONTROL_PERCENT: must be from 0 to 50")
    problems += [
        f"{PREFIX}{name.upper()}: must be from {least} to {most}"
        for name, (least, most) in RETENTION_LIMITS_DAYS.items()
        if not least <= getattr(settings, name) <= most
    ]
    if any(len(key) < PREFERENCE_KEY_LEAST_CHARS for key in settings.preference_keys):
        problems.append(
            f"{PREFIX}PREFERENCE_KEY: at least {PREFERENCE_KEY_LEAST_CHARS} characters, drawn at random"
        )
    try:
        _ = settings.ports_called
    except ValueError:
        problems.append(f"{PREFIX}OUTGOING_PORTS: port numbers, from 1 to 65535")
    if not re.fullmatch(r"none|[0-9]{1,9}", settings.approval_above_subjects):
        problems.append(f'{PREFIX}APPROVAL_ABOVE_SUBJECTS: must be "none" or a whole number, 0 for always')
    if settings.sms_channel == "twilio":
        problems += [
            f"{PREFIX}{name.upper()}: needed when CHALAND_SMS_CHANNEL is twilio"
            for name in ("twilio_account_sid", "twilio_auth_token")
            if not getattr(settings, name)
        ]
        if not (settings.twilio_messaging_service_sid or settings.twilio_from):
            problems.append(
                "CHALAND_TWILIO_MESSAGING_SERVICE_SID or CHALAND_TWILIO_FROM: one of them is needed"
            )
    return problems


def _unfit_for_production(settings: Settings) -> list[str]:
    if settings.env != "production":
        return []
    return [
        f"{PREFIX}{name.upper()}: a development value, refused in production; set your own"
        for name, refused in DEVELOPMENT_VALUES.items()
        if getattr(settings, name) in refused
    ]
