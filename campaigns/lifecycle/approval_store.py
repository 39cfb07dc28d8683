"""What was approved of each version, and how many a campaign may reach.

Every function takes an open connection; the caller owns the transaction.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, tuple_, update

from campaigns.campaign import Campaign
from campaigns.lifecycle.approval import NOT_CLEARED, ApprovalPolicy, Clearance, clearance_of
from campaigns.lifecycle.change import By
from campaigns.lifecycle.version_store import version_of, versions_where
from campaigns.tables import campaign_versions
from consent.entry import Purpose
from consent.ledger import count_granted

IDS_PER_QUERY = 400


def approve_version(conn: Connection, campaign: Campaign, content_hash: str, by: By) -> None:
    """Keep that this content of the campaign's version was approved."""
    table = campaign_versions.c
    this = (table.campaign == campaign.id, table.version == campaign.version)
    approval = {"approved_hash": content_hash, "approved_by": by.actor, "approved_at": by.at}
    conn.execute(update(campaign_versions).where(*this).values(approval))


def clearance(conn: Connection, campaign: Campaign) -> Clearance:
    """How a campaign's content compares with what was approved of it."""
    return clearance_of(version_of(conn, campaign.id, campaign.version), campaign)


def clearance_of_message(
    conn: Connection, policy: ApprovalPolicy, campaign_id: str, version: int | None
) -> Clearance:
    """The same of a message that is made: of the version that rendered it."""
    if not policy.asks:
        return Clearance(asked=False)
    return NOT_CLEARED if version is None else clearance_of(version_of(conn, campaign_id, version))


def clearances(
    conn: Connection, policy: ApprovalPolicy, campaigns: Sequence[Campaign]
) -> Mapping[str, Clearance]:
    """The same of many campaigns, by id; empty where nothing is ever to be approved."""
    if not policy.asks:
        return {}
    found = {}
    for start in range(0, len(campaigns), IDS_PER_QUERY):
        some = {(each.id, each.version): each for each in campaigns[start : start + IDS_PER_QUERY]}
        named = tuple_(campaign_versions.c.campaign, campaign_versions.c.version).in_(list(some))
        for version in versions_where(conn, named):
            found[version.campaign] = clearance_of(version, some[version.campaign, version.number])
    return found


def audience_size(conn: Connection, campaign: Campaign) -> int:
    """How many may get the campaign's messages, at most: all who allow offers on its channel."""
    return count_granted(conn, Purpose.MARKETING, campaign.channel)
