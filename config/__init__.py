"""What an operator can set, with its defaults."""

from config.settings import DEMO_TWILIO_TOKEN, InvalidSettings, Settings, default_values, load_settings

__all__ = ["DEMO_TWILIO_TOKEN", "InvalidSettings", "Settings", "default_values", "load_settings"]
