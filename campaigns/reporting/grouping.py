"""Figures by group, so that nobody is in a group so small that it tells of a person."""

from dataclasses import dataclass, field

from campaigns.reporting.funnel import Funnel, Happening


@dataclass(slots=True)
class Group:
    """The funnel of a group, and how many people it is about. `some` holds the first of them, as many as the least
    group has; of a smaller group that is everybody.
    """

    funnel: Funnel = field(default_factory=Funnel)
    people: int = 0
    some: set[str] = field(default_factory=set)
    _last: str | None = None

    def add(self, happening: Happening, least: int) -> None:
        """Count one more; whoever calls brings each subject's happenings one after another."""
        self.funnel.add(happening)
        if happening.subject != self._last:
            self._last = happening.subject
            self.people += 1
            if len(self.some) < least:
                self.some.add(happening.subject)


@dataclass(frozen=True, slots=True)
class Grouped:
    """Groups that may be told. `rest` is what the others come to together, None if there is none; `withheld` is whether even
    the rest is too small, which is only where everything together is. `joined` counts the groups in the rest.
    """

    told: dict[str, Group]
    rest: Funnel | None
    joined: int
    withheld: bool


def tell_groups(groups: dict[str, Group], least: int) -> Grouped:
    """Join the groups of fewer than `least` people into a rest that is itself large enough.

    A single small group would follow from the total: then the smallest of the others goes into the rest, too. So what
    can be worked out of the published figures is again about at least `least` people.
    """
    small = {key: group for key, group in groups.items() if group.people < least}
    told = {key: group for key, group in groups.items() if key not in small}
    if not small:
        return Grouped(told, None, 0, withheld=False)
    joined = list(small.values())
    people = {subject for group in joined for subject in group.some}
    if len(people) < least:
        if not told:
            return Grouped({}, None, len(joined), withheld=True)
        smallest = min(told, key=lambda key: (told[key].people, key))
        joined.append(told.pop(smallest))
    rest = Funnel()
    for group in joined:
        rest.join(group.funnel)
    return Grouped(told, rest, len(joined), withheld=False)
