"""What a message costs: so much a segment of an SMS, by the country of the number; a push costs nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from campaigns.content.segments import sms_size
from campaigns.limits.money import micros_of
from consent.countries.place import Origin
from consent.entry import Channel

USUAL_SEGMENT_MICROS = 80_000


@dataclass(frozen=True, slots=True)
class Costs:
    """Millionths of the currency's unit for a segment, by country (ISO 3166), and `other` for every other one."""

    other: int = USUAL_SEGMENT_MICROS
    by_country: Mapping[str, int] = field(default_factory=dict)

    def of(self, channel: Channel, text: str, origin: Origin | None) -> int:
        """What the message costs; the dearest, where the number may be of several countries."""
        if channel is not Channel.SMS:
            return 0
        areas = origin.areas if origin else frozenset()
        rates = [self.by_country[area] for area in areas if area in self.by_country]
        return max(rates, default=self.other) * sms_size(text).segments


def costs_from_text(other: str, by_country: str) -> Costs:
    """What two settings say: ``0.08``, and ``FR 0.0725, DE 0.09``. Raises `ValueError` that names what cannot be read."""
    rates: dict[str, int] = {}
    for part in by_country.split(","):
        match part.split():
            case []:
                continue
            case [country, amount] if len(country) == len("FR") and country.isalpha():
                rates[country.upper()] = micros_of(amount)
            case _:
                raise ValueError(
                    f"no rate can be read in {part.strip()!r}; write a country and an amount: FR 0.0725"
                )
    return Costs(micros_of(other), rates)
