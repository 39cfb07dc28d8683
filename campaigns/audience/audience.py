"""Whom a campaign speaks to: a small, bounded language of conditions over a subject's attributes, over what it did
before, and over lists.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from campaigns.audience.behaviour import UNKNOWN, Act, Behaviour, OnList, Past, behaviour_json, read_behaviour
from campaigns.errors import FieldError

MAX_DEPTH = 5
MAX_CONDITIONS = 50
MAX_VALUES = 100
MAX_TEXT_CHARS = 200

Scalar = str | int | float | bool


class Comparison(StrEnum):
    """What may be asked of an attribute."""

    IN = "in"
    EQUALS = "equals"
    EXISTS = "exists"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"


@dataclass(frozen=True, slots=True)
class All:
    """Every one of the conditions holds; of none, that is true."""

    conditions: tuple["Audience", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of the conditions holds; of none, that is false."""

    conditions: tuple["Audience", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold; so a subject without the attribute is in."""

    condition: "Audience"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute against one operand: a tuple for `in`, a bool for `exists`, a number for the bounds."""

    name: str
    test: Comparison
    operand: Scalar | tuple[Scalar, ...]


Audience = All | AnyOf | Not | Attribute | Behaviour | OnList

EVERYONE = All(())
NOBODY = AnyOf(())


def matches(audience: Audience, attributes: Mapping[str, Any], past: Past = UNKNOWN) -> bool:
    """Whether a subject with these attributes and this past is in the audience.

    A missing attribute matches nothing but ``"exists": false``. Types are kept apart: 1 is not true, and a
    text is neither at least nor at most a number. Where the past was not looked up that the audience asks about, nobody
    is in it.
    """
    return is_met(audience, truths(audience, attributes, past))


def truths(audience: Audience, attributes: Mapping[str, Any], past: Past = UNKNOWN) -> list[bool | None]:
    """Whether each single condition holds of a subject, in the order in which the audience names them; None where nobody
    looked.
    """
    return [_truth(each, attributes, past) for each in single_conditions(audience)]


def is_met(audience: Audience, held: Sequence[bool | None]) -> bool:
    """Whether an audience holds whose single conditions are so. Raises `ValueError` if it has not as many."""
    each = iter(held)
    try:
        met = _is_met(audience, each)
    except StopIteration:
        raise ValueError("the audience has more conditions") from None
    if next(each, _END) is not _END:
        raise ValueError("the audience has fewer conditions")
    return met and None not in held


_END = object()


def _is_met(audience: Audience, held: Iterator[bool | None]) -> bool:
    match audience:
        case All(conditions):
            met = [_is_met(condition, held) for condition in conditions]  # each takes its own of what `held`
            return all(met)
        case AnyOf(conditions):
            met = [_is_met(condition, held) for condition in conditions]
            return any(met)
        case Not(condition):
            return not _is_met(condition, held)
        case Attribute() | Behaviour() | OnList():
            return next(held) is True


def _truth(leaf: "Attribute | Behaviour | OnList", attributes: Mapping[str, Any], past: Past) -> bool | None:
    match leaf:
        case Attribute(name, test, operand):
            return _holds(test, operand, attributes.get(name))
        case Behaviour():
            return leaf.holds(past.times[leaf]) if leaf in past.times else None
        case OnList(name):
            return name in past.lists if past.lists is not None else None


def attribute_names(audience: Audience) -> frozenset[str]:
    """The names of the attributes that the audience asks about."""
    return frozenset(each.name for each in single_conditions(audience) if isinstance(each, Attribute))


def behaviours(audience: Audience) -> frozenset[Behaviour]:
    """What the audience asks of a subject's past."""
    return frozenset(each for each in single_conditions(audience) if isinstance(each, Behaviour))


def list_names(audience: Audience) -> frozenset[str]:
    """The lists that the audience asks about."""
    return frozenset(each.name for each in single_conditions(audience) if isinstance(each, OnList))


def single_conditions(audience: Audience) -> Iterator[Attribute | Behaviour | OnList]:
    """What is asked one by one, in the order in which the audience names it."""
    match audience:
        case All(conditions) | AnyOf(conditions):
            for condition in conditions:
                yield from single_conditions(condition)
        case Not(condition):
            yield from single_conditions(condition)
        case Attribute() | Behaviour() | OnList():
            yield audience


def audience_json(audience: Audience) -> dict[str, Any]:
    """The audience as the API writes it; `parse_audience` reads it back."""
    match audience:
        case All(conditions):
            return {"all": [audience_json(condition) for condition in conditions]}
        case AnyOf(conditions):
            return {"any": [audience_json(condition) for condition in conditions]}
        case Not(condition):
            return {"not": audience_json(condition)}
        case Attribute(name, test, operand):
            return {
                "attribute": name,
                test.value: list(operand) if isinstance(operand, tuple) else operand,
            }
        case Behaviour():
            return behaviour_json(audience)
        case OnList(name):
            return {"list": name}


def parse_audience(raw: Any, field: str = "audience") -> tuple[Audience, tuple[FieldError, ...]]:
    """Read an audience as JSON gave it. With errors, each names its field and the audience is nobody."""
    reading = _Reading()
    audience = reading.condition(raw, field, depth=1)
    return (NOBODY if reading.errors else audience), tuple(reading.errors)


def _holds(test: Comparison, operand: Scalar | tuple[Scalar, ...], value: Any) -> bool:
    match test:
        case Comparison.EXISTS:
            return (value is not None) == operand
        case Comparison.IN:
            return isinstance(operand, tuple) and any(_same(value, wanted) for wanted in operand)
        case Comparison.EQUALS:
            return _same(value, operand)
        case Comparison.AT_LEAST:
            return _is_number(value) and bool(value >= operand)
        case Comparison.AT_MOST:
            return _is_number(value) and bool(value <= operand)


def _same(value: Any, wanted: Any) -> bool:
    alike = type(value) is type(wanted) or (_is_number(value) and _is_number(wanted))
    return alike and bool(value == wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class _Reading:
    """One pass over a JSON audience, collecting what is wrong with it."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []
        self._conditions = 0

    def condition(self, raw: Any, field: str, depth: int) -> Audience:
        self._conditions += 1
        if depth > MAX_DEPTH:
            return self._wrong(field, f"conditions nest at most {MAX_DEPTH} deep")
        if self._conditions > MAX_CONDITIONS:
            return self._wrong(field, f"an audience holds at most {MAX_CONDITIONS} conditions")
        match raw:
            case {"all": list(several), **rest} if not rest:
                return All(self._several(several, f"{field}.all", depth))
            case {"any": list(several), **rest} if not rest:
                return AnyOf(self._several(several, f"{field}.any", depth))
            case {"not": one, **rest} if not rest:
                return Not(self.condition(one, f"{field}.not", depth + 1))
            case {"attribute": name, **rest} if len(rest) == 1:
                [(test, operand)] = rest.items()
                return self._attribute(name, str(test), operand, field)
            case {"list": str(name), **rest} if not rest and name and _is_scalar(name):
                return OnList(name)
            case dict() if len(raw) == 1 and next(iter(raw)) in set(Act):
                [(act, operand)] = raw.items()
                return read_behaviour(Act(act), operand, f"{field}.{act}", self._wrong) or NOBODY
        return self._wrong(
            field,
            'a condition is {"all":[...]}, {"any":[...]}, {"not":{...}}, {"list":"name"}, {"visited":{...}}, '
            '{"received":{...}}, or {"attribute":"name"} with one of ' + ", ".join(Comparison),
        )

    def _several(self, several: Sequence[Any], field: str, depth: int) -> tuple[Audience, ...]:
        if len(several) > MAX_CONDITIONS:
            self._wrong(field, f"an audience holds at most {MAX_CONDITIONS} conditions")
            return ()
        return tuple(self.condition(one, f"{field}[{i}]", depth + 1) for i, one in enumerate(several))

    def _attribute(self, name: Any, test: str, operand: Any, field: str) -> Audience:
        if not isinstance(name, str) or not name or not _is_scalar(name):
            return self._wrong(
                f"{field}.attribute", f"a name of 1 to {MAX_TEXT_CHARS} printable characters is expected"
            )
        if test not in set(Comparison):
            named = f"{field}.{test}" if test.isidentifier() and len(test) <= MAX_TEXT_CHARS else field
            return self._wrong(named, "unknown; allowed: " + ", ".join(Comparison))
        expected = _expected(Comparison(test), operand)
        if expected:
            return self._wrong(f"{field}.{test}", expected)
        return Attribute(name, Comparison(test), tuple(operand) if isinstance(operand, list) else operand)

    def _wrong(self, field: str, detail: str) -> Audience:
        self.errors.append(FieldError(field, detail))
        return NOBODY


def _expected(test: Comparison, operand: Any) -> str | None:
    """What the operand should have been, or None if it is right."""
    match test:
        case Comparison.IN:
            right = isinstance(operand, list) and len(operand) <= MAX_VALUES and all(map(_is_scalar, operand))
            return None if right else f"a list of at most {MAX_VALUES} texts, numbers or booleans is expected"
        case Comparison.EQUALS:
            return None if _is_scalar(operand) else "a printable text, a number or a boolean is expected"
        case Comparison.EXISTS:
            return None if isinstance(operand, bool) else "true or false is expected"
        case Comparison.AT_LEAST | Comparison.AT_MOST:
            return None if _is_number(operand) else "a number is expected"


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT_CHARS and value.isprintable()
    return isinstance(value, int | float)
