from dataclasses import fields
from pathlib import Path

import pytest

from config import InvalidSettings, Settings, default_values, load_settings


def test_the_file_and_the_class_hold_the_same_defaults():
    of_class = {each.name: each.default for each in fields(Settings)}
    assert default_values() == of_class | {"data_dir": str(of_class["data_dir"])}


def test_the_environment_overrides_and_the_command_line_overrides_it():
    environ = {"CHALAND_PARTITIONS": "4", "CHALAND_BRAND": "Boulangerie"}
    settings = load_settings(environ, brand="Fournil", contact=None)
    assert (settings.partitions, settings.brand, settings.contact) == (4, "Fournil", "contact@example.org")


def test_a_secret_may_stand_in_a_file_and_is_never_shown(tmp_path: Path):
    secret = tmp_path / "key"
    secret.write_text("ck_secret\n")
    settings = load_settings({"CHALAND_ADMIN_KEY_FILE": str(secret)})
    assert settings.admin_key == "ck_secret"
    assert "ck_secret" not in repr(settings)


def test_every_problem_is_named_at_once():
    with pytest.raises(InvalidSettings) as caught:
        load_settings(
            {"CHALAND_PARTITIONS": "many", "CHALAND_SMS_CHANNEL": "fax", "CHALAND_TYPO": "1", "PATH": "/bin"}
        )
    lines = str(caught.value).splitlines()
    assert lines == [
        "CHALAND_SMS_CHANNEL: must be one of log, twilio",
        "CHALAND_PARTITIONS: must be a whole number",
        "CHALAND_TYPO: no such setting; config/default.toml lists them all",
    ]


@pytest.mark.parametrize("name", ["ADMIN_KEY", "PREFERENCE_KEY", "PUBLIC_URL"])
def test_production_refuses_development_values(name: str):
    good = {
        "CHALAND_ENV": "production",
        "CHALAND_ADMIN_KEY": "k" * 32,
        "CHALAND_PREFERENCE_KEY": "p" * 32,
        "CHALAND_PUBLIC_URL": "https://offers.example.org",
    }
    assert load_settings(good).env == "production"
    del good[f"CHALAND_{name}"]
    with pytest.raises(InvalidSettings, match=f"CHALAND_{name}"):
        load_settings(good)


def test_ports_are_numbers_and_only_development_calls_anybody():
    assert Settings().ports_called == {443, 8443}
    for wrong in ("https", "0", "70000"):
        with pytest.raises(InvalidSettings, match="CHALAND_OUTGOING_PORTS: port numbers"):
            load_settings({"CHALAND_OUTGOING_PORTS": wrong})
    with pytest.raises(InvalidSettings, match="CHALAND_OUTGOING: a development value"):
        load_settings({"CHALAND_ENV": "production", "CHALAND_OUTGOING": "any"})


def test_twilio_needs_its_credentials():
    with pytest.raises(InvalidSettings, match="CHALAND_TWILIO_ACCOUNT_SID"):
        load_settings({"CHALAND_SMS_CHANNEL": "twilio"})


def test_replicas_may_be_none_and_not_fewer():
    assert load_settings({"CHALAND_DURABLE_REPLICAS": "0"}).durable_replicas == 0
    with pytest.raises(InvalidSettings, match="CHALAND_DURABLE_REPLICAS: must be zero or more"):
        load_settings({"CHALAND_DURABLE_REPLICAS": "-1"})
    with pytest.raises(InvalidSettings, match="CHALAND_DURABLE_ON: must be one of memory, disk"):
        load_settings({"CHALAND_DURABLE_ON": "paper"})


def test_periods_of_retention_have_limits():
    for name, days in [
        ("EVENT_RETENTION_DAYS", 91),
        ("MESSAGE_RETENTION_DAYS", 366),
        ("INACTIVE_DAYS", 1097),
    ]:
        with pytest.raises(InvalidSettings, match=f"CHALAND_{name}: must be from"):
            load_settings({f"CHALAND_{name}": str(days)})


def test_a_key_of_links_is_long_and_may_be_rotated():
    with pytest.raises(InvalidSettings, match="CHALAND_PREFERENCE_KEY"):
        load_settings({"CHALAND_PREFERENCE_KEY": "short"})
    settings = load_settings({"CHALAND_PREFERENCE_KEY": f"{'n' * 32}, {'o' * 32}"})
    assert settings.preference_keys == (b"n" * 32, b"o" * 32)
    assert "nnn" not in repr(settings)
