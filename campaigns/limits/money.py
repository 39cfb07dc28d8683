"""Amounts of money, exact: millionths of the currency's unit, written as decimal text."""

import re
from decimal import Decimal

MICROS = 1_000_000
MONEY_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,6})?$"


def micros_of(text: str) -> int:
    """An amount such as ``12.50`` in millionths. Raises `ValueError` for anything but up to nine digits and six decimals."""
    if not re.fullmatch(MONEY_PATTERN, text):
        raise ValueError(f"no amount can be read in {text!r}; write one such as 12.50")
    return int(Decimal(text) * MICROS)


def money_text(micros: int) -> str:
    """The amount, with two decimals at least."""
    amount = (Decimal(micros) / MICROS).normalize()
    decimals = -int(amount.as_tuple().exponent)
    return f"{amount:.{max(decimals, 2)}f}"
