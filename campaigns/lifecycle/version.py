"""Versions of a campaign: what it says, to whom and when, numbered; one that was let speak is never changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from campaigns.campaign import Campaign, campaign_json

NOT_CONTENT = ("id", "version", "state", "archived")
"""Fields that say which campaign it is and how it fares, and not what it does."""


@dataclass(frozen=True, slots=True)
class Approval:
    """That content with this hash was approved, by whom and when."""

    content_hash: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """One version as it is kept. `frozen_at` is when it was let speak first; until then edits are written over it."""

    campaign: str
    number: int
    content: Mapping[str, Any]
    content_hash: str
    made_at: datetime
    frozen_at: datetime | None
    approval: Approval | None = None


def content_of(campaign: Campaign) -> dict[str, Any]:
    """What a campaign does, every default spelled out."""
    return {name: value for name, value in campaign_json(campaign).items() if name not in NOT_CONTENT}


def content_hash(campaign: Campaign) -> str:
    """The hash of what the campaign does."""
    return hash_of(content_of(campaign))


def hash_of(content: Mapping[str, Any]) -> str:
    """SHA-256, in hex, over canonical JSON: keys in order, no spaces, UTF-8. Never changed: it is kept with each version."""
    written = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(written.encode()).hexdigest()


def numbered(was: Campaign | None, wanted: Campaign, latest: int, *, frozen: bool) -> Campaign:
    """`wanted` under the number that it is saved by. `latest` is the highest that this id ever had, 0 for none; `frozen`
    says whether the version of `was` is.

    What never spoke is written over. Whatever was let speak is frozen, and other content makes the next version.
    """
    if was is None:
        return replace(wanted, version=latest + 1)
    if not frozen or content_hash(was) == content_hash(wanted):
        return replace(wanted, version=was.version)
    return replace(wanted, version=latest + 1)


def version_json(version: Version) -> dict[str, Any]:
    """A version as the API writes it."""
    return {
        "campaign": version.campaign,
        "version": version.number,
        "content_hash": version.content_hash,
        "made_at": version.made_at.isoformat(),
        "frozen_at": version.frozen_at.isoformat() if version.frozen_at else None,
        "approved_by": version.approval.by if version.approval else None,
        "approved_at": version.approval.at.isoformat() if version.approval else None,
        "content": version.content,
    }
