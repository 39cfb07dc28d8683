"""A campaign's report: the funnel, by variant, place and hour, the cost, and what the experiment came to. Aggregates only."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from campaigns.reporting.funnel import Funnel, Happening
from campaigns.reporting.grouping import Group, Grouped, tell_groups
from campaigns.reporting.results import VISITED, Trial, results_json

BREAKDOWNS = ("variant", "geofence", "hour")
NONE, REST = "(none)", "(rest)"
"""In place of a group's name: those who have none, and what small groups come to together."""


@dataclass(frozen=True, slots=True)
class ReportPolicy:
    """How an installation reports: groups of fewer than `least_people` are withheld; whoever comes within
    `visit_within_hours` came because of, or in spite of, the offer; `segment_price` is in units of `currency`, 0 for unknown.
    `days` is how far back all decisions are kept.
    """

    least_people: int = 10
    visit_within_hours: int = 24
    segment_price: float = 0.0
    currency: str = "EUR"
    days: int = 30


@dataclass(slots=True)
class Report:
    """Takes people in one by one, and holds no more than the counts. `zones` are the time zones of geofences."""

    policy: ReportPolicy
    trial: Trial
    zones: Mapping[str, str]
    whole: Group = field(default_factory=Group)
    groups: dict[str, dict[str, Group]] = field(default_factory=lambda: {name: {} for name in BREAKDOWNS})

    def add(self, happenings: Sequence[Happening]) -> None:
        """Count one person, by all their happenings, the oldest first."""
        least = self.policy.least_people
        for each in happenings:
            self.whole.add(each, least)
            keys = (each.variant, each.geofence, self._hour(each))
            for name, key in zip(BREAKDOWNS, keys, strict=True):
                self.groups[name].setdefault(NONE if key is None else key, Group()).add(each, least)
        self.trial.add(happenings)

    def json(self) -> dict[str, Any]:
        """All of it, or that it is withheld."""
        least = self.policy.least_people
        if self.whole.people < least:
            return {"minimum_group": least, "withheld": True}
        return {
            "minimum_group": least,
            "withheld": False,
            "people": self.whole.people,
            "funnel": self.whole.funnel.json(),
            "cost": self._cost(self.whole.funnel),
            **{
                f"by_{name}": self._grouped(name, tell_groups(self.groups[name], least))
                for name in BREAKDOWNS
            },
            "experiment": self._experiment(),
        }

    def _hour(self, happening: Happening) -> str | None:
        zone = self.zones.get(happening.geofence or "")
        return f"{happening.at.astimezone(ZoneInfo(zone)).hour:02}" if zone else None

    def _grouped(self, name: str, grouped: Grouped) -> list[dict[str, Any]]:
        if not grouped.told.keys() - {NONE} and grouped.rest is None:
            return []
        told = [
            {
                name: key,
                "people": group.people,
                "funnel": group.funnel.json(),
                "cost": self._cost(group.funnel),
            }
            for key, group in sorted(grouped.told.items())
        ]
        if grouped.rest is not None:
            rest = {"funnel": grouped.rest.json(), "cost": self._cost(grouped.rest)}
            told.append({name: REST, "joined": grouped.joined, **rest})
        return told

    def _cost(self, funnel: Funnel) -> dict[str, Any]:
        """What was sent, and what it cost; None where no price is set."""
        price = self.policy.segment_price
        amount = float(round(Decimal(str(price)) * funnel.segments, 2)) if price else None
        return {
            "messages": funnel.messages,
            "segments": funnel.segments,
            "amount": amount,
            "currency": self.policy.currency if amount is not None else None,
        }

    def _experiment(self) -> dict[str, Any] | None:
        found = results_json(self.trial, self.policy.least_people)
        amount = self._cost(self.whole.funnel)["amount"]
        for each in found["comparisons"]:
            pays = each["metric"] == VISITED and each["clear"] and each["incremental"] > 0 and amount
            each["cost_per_incremental"] = round(amount / each["incremental"], 2) if pays else None
        return found if self.trial.current or len(found["arms"]) > 1 else None


def report_csv(report: Mapping[str, Any]) -> str:
    """The counts of a report that `json` gave, one a line: which group, which step, and of what was lost on the way there,
    the reason (empty: what came through).
    """
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\r\n")
    lines.writerow(["breakdown", "group", "step", "of", "reason", "count"])
    if not report["withheld"]:
        lines.writerows(_lines("all", "", report["funnel"]))
        for name in BREAKDOWNS:
            for group in report[f"by_{name}"]:
                lines.writerows(_lines(name, _harmless(group[name]), group["funnel"]))
    return out.getvalue()


def _lines(breakdown: str, group: str, funnel: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Any]]:
    for step in funnel:
        yield breakdown, group, step["step"], step["of"] or "", "", step["count"]
        for reason, count in step["lost"].items():
            yield breakdown, group, step["step"], step["of"] or "", reason, count


def _harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def stated(
    report: Mapping[str, Any], campaign: str, state: str, since: datetime, until: datetime
) -> dict[str, Any]:
    """A report with what it is about."""
    return {
        "campaign": campaign,
        "state": state,
        "since": since.isoformat(),
        "until": until.isoformat(),
        **report,
    }
