"""Under which circumstances a text is worded: what may be linked, whose language it is, by which clock."""

from dataclasses import dataclass

from campaigns.links import OWN_LINKS_ONLY, LinkPolicy


@dataclass(frozen=True, slots=True)
class Wording:
    """`locale` is the reader's language tag and `zone` the time zone of the place (IANA); None where nobody knows."""

    links: LinkPolicy = OWN_LINKS_ONLY
    locale: str | None = None
    zone: str | None = None


PLAIN = Wording()
"""As it is where nothing is known."""
