"""JSON as a contract: no NaN, no infinity, no key twice, bounded depth. The standard parser forgives all four."""

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any

from engine.doors.problem import FieldProblem, Problem

DEPTH_LIMIT = 64


def loads(body: bytes) -> Any:
    """Parse UTF-8 JSON. Raises `Problem` 400 when it is not JSON, 422 naming the field when it breaks a rule."""
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_Pairs)
    except UnicodeDecodeError as error:
        raise Problem(400, "malformed_json", f"the body is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise Problem(
            400,
            "malformed_json",
            f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})",
        ) from None
    except (RecursionError, ValueError):
        raise Problem(
            400, "malformed_json", "the body is nested too deeply or holds too long a number"
        ) from None
    errors = list(_errors(value, "", 0))
    if errors:
        raise Problem(422, "invalid_body", f"{errors[0].field}: {errors[0].detail}", tuple(errors[:20]))
    return _plain(value)


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written, with every key, also those that stand twice."""


def _errors(value: Any, path: str, depth: int) -> Iterator[FieldProblem]:
    if depth > DEPTH_LIMIT:
        yield FieldProblem(path or "body", f"nested deeper than {DEPTH_LIMIT} levels")
    elif isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, each in value:
            here = f"{path}.{key}" if path else key
            if key in seen:
                yield FieldProblem(here, "this key stands twice")
            seen.add(key)
            yield from _errors(each, here, depth + 1)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _errors(each, f"{path}[{index}]", depth + 1)
    elif isinstance(value, str) and _is_half_a_pair(value):
        yield FieldProblem(path or "body", "holds half a surrogate pair, which is no text")
    elif isinstance(value, float) and not isfinite(value):
        yield FieldProblem(path or "body", "must be a finite number")


def _is_half_a_pair(text: str) -> bool:
    """Whether a text cannot be written as UTF-8: JSON's escapes allow what Unicode does not."""
    return not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text)


def _plain(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {key: _plain(each) for key, each in value}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
