"""The words of a message: Liquid, cut down to what a text message needs, checked when it is saved.

A marketer writes the template and a shopper's attributes fill it, so neither is trusted: tags and filters are
an allow-list without loops, wall clock or arithmetic, and no value can bring a line break or a link.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate, Environment
from liquid.ast import BlockNode, ConditionalBlockNode, Node
from liquid.builtin import content, illegal, output
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.filters import misc, string
from liquid.builtin.tags import assign_tag, case_tag, if_tag, unless_tag
from liquid.exceptions import LiquidError
from liquid.expression import Expression

from campaigns.errors import FieldError

MAX_TEMPLATE_CHARS = 1600
MAX_VALUE_CHARS = 80
MAX_TEXT_CHARS = 1530
"""Ten SMS segments of 153 GSM-7 characters; a longer text is not sent on any channel."""

ALWAYS_KNOWN = frozenset({"first_name", "last_name", "geofence", "campaign"})
"""Names that need no default; a subject without a first name renders as nothing."""

_LINK = re.compile(r"//|\bwww\.|[\w-][.\u3002][^\W\d_]{2}|\b\d{1,3}(\.\d{1,3}){3}\b", re.IGNORECASE)
_CONTROL = frozenset({"Cc", "Zl", "Zp", "Cs"})
_UNSEEN = _CONTROL | {
    "Cf"
}  # zero-width and direction characters: right in a template's emoji, not in a value
_MAX_OUTPUT_BYTES = 16_384
_SAMPLE = "Ana"
"""A value to try a template with."""
_NO_VALUES = dict.fromkeys((*ALWAYS_KNOWN, "now", "today"))  # Liquid's own now and today read the wall clock


class TextRefused(Exception):
    """The template and these values do not make a text that may be sent; the message says why, without them."""


class LinkMade(TextRefused):
    """A value became part of a link, or made one."""


class _SmallLiquid(Environment):
    block_nesting_limit = 5
    output_stream_limit = _MAX_OUTPUT_BYTES
    local_namespace_limit = _MAX_OUTPUT_BYTES

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:  # noqa: ARG002  # the base class's signature
        for tag in (
            content.Literal,
            output.Output,
            illegal.Illegal,
            if_tag.IfTag,
            unless_tag.UnlessTag,
            case_tag.CaseTag,
            assign_tag.AssignTag,
        ):
            self.add_tag(tag)
        for name, function in {
            "default": misc.default,
            "upcase": string.upcase,
            "downcase": string.downcase,
            "capitalize": string.capitalize,
            "strip": string.strip,
            "truncate": string.truncate,
            "truncatewords": string.truncatewords,
        }.items():
            self.add_filter(name, function)


_LIQUID = _SmallLiquid()


def check_template(text: str, field: str = "template") -> tuple[FieldError, ...]:
    """What is wrong with a template; nothing means that it can be saved and will render.

    A printed name must be one of `ALWAYS_KNOWN`, be assigned in the template, or carry a ``default`` filter;
    a name that is only tested (``{% if tier == 'gold' %}``) need not, for its absence takes the other branch.
    """
    if not text.strip():
        return (FieldError(field, "a template needs words"),)
    if len(text) > MAX_TEMPLATE_CHARS:
        return (FieldError(field, f"a template holds at most {MAX_TEMPLATE_CHARS} characters"),)
    if any(unicodedata.category(character) in _CONTROL and character != "\n" for character in text):
        return (FieldError(field, "a template holds no control characters but the line break"),)
    try:
        template = _parse(text)
        problems = _problems(template)
        if not problems:
            render(text, {})
            _try_with_values(text, template)
    except LiquidError as error:
        return (FieldError(field, f"not understood: {error.message}; {_allowed()}"),)
    except TextRefused as refused:
        return (FieldError(field, str(refused)),)
    return tuple(FieldError(field, problem) for problem in problems)


def render(text: str, values: Mapping[str, Any]) -> str:
    """The finished text. Raises `TextRefused` if it comes out empty or longer than `MAX_TEXT_CHARS`.

    Values lose line breaks and control characters and end after `MAX_VALUE_CHARS`; one that holds a link, or
    is neither text, number nor boolean, counts as missing. Raises it also where values make a link together, or with
    the words beside them: every link must stand in the template as it is sent.
    """
    known = {name: clean for name, value in values.items() if (clean := _clean(value)) is not None}
    try:
        rendered = _parse(text).render({**_NO_VALUES, **known}).strip()
    except LiquidError:
        raise TextRefused("the template does not render with these values") from None
    if not rendered:
        raise TextRefused("the text comes out empty")
    if _has_joined_link(text, rendered):
        raise LinkMade("a value becomes part of a link, or makes one; put a space before and after it")
    if len(rendered) > MAX_TEXT_CHARS:
        raise TextRefused(f"the text comes out longer than {MAX_TEXT_CHARS} characters")
    return rendered


def _try_with_values(text: str, template: BoundTemplate) -> None:
    """Raises `LinkMade` for a template that would make a link of a name that is filled in."""
    try:
        render(text, dict.fromkeys(_names(template), _SAMPLE))
    except LinkMade:
        raise
    except TextRefused:
        return  # whether it comes out empty, or too long, depends on the values of the day


def _has_joined_link(template: str, rendered: str) -> bool:
    """Whether a word of the text that holds a link does not stand so in the template."""
    if not _LINK.search(text := unicodedata.normalize("NFKC", rendered)):
        return False
    written = unicodedata.normalize("NFKC", template)
    return any(_LINK.search(word) and word not in written for word in text.split())


@lru_cache(maxsize=256)
def _parse(text: str) -> BoundTemplate:
    return _LIQUID.parse(text)


def _problems(template: BoundTemplate) -> list[str]:
    known = set(ALWAYS_KNOWN)
    problems = []
    for node in _nodes(template.nodes, template):
        for expression in node.expressions():
            problems += _expression_problems(expression, known, printed=_prints(node))
        known.update(node.template_scope())
    return problems


def _expression_problems(expression: Expression, known: set[str], *, printed: bool) -> list[str]:
    problems = []
    defaulted = isinstance(expression, FilteredExpression) and _filters(expression) & {"default"}
    for part in _parts(expression):
        if isinstance(part, RangeLiteral):
            problems.append("a range (1..9) has no use here")
        elif isinstance(part, Path) and (len(part.path) != 1 or not isinstance(part.path[0], str)):
            problems.append(f"{part}: only plain names are available, without dots or brackets")
        elif isinstance(part, Path) and printed and not defaulted and part.path[0] not in known:
            problems.append(
                f"{part}: not a name that every subject has ({', '.join(sorted(ALWAYS_KNOWN))}); "
                f"give it a default, as in {{{{ {part} | default: '' }}}}"
            )
    if isinstance(expression, FilteredExpression):
        unknown = sorted(_filters(expression) - _LIQUID.filters.keys())
        problems += [f"unknown filter {name}; {_allowed()}" for name in unknown]
    return problems


def _nodes(nodes: list[Node], template: BoundTemplate) -> Iterator[Node]:
    context = template.context_class(template)
    for node in nodes:
        yield node
        yield from _nodes(list(node.children(context, include_partials=False)), template)


def _names(template: BoundTemplate) -> set[str]:
    """Every name that a template asks for."""
    return {
        str(part.path[0])
        for node in _nodes(template.nodes, template)
        for expression in node.expressions()
        for part in _parts(expression)
        if isinstance(part, Path)
    }


def _parts(expression: Expression) -> Iterator[Expression]:
    yield expression
    for child in expression.children():
        yield from _parts(child)


def _prints(node: Node) -> bool:
    return not isinstance(
        node,
        if_tag.IfNode
        | unless_tag.UnlessNode
        | case_tag.CaseNode
        | case_tag.MultiExpressionBlockNode
        | ConditionalBlockNode
        | BlockNode,
    )


def _filters(expression: FilteredExpression) -> set[str]:
    return {used.name for used in expression.filters or ()}


def _allowed() -> str:
    return f"tags: if, unless, case, assign; filters: {', '.join(sorted(_LIQUID.filters))}"


def _clean(value: Any) -> str | int | float | bool | None:
    if not isinstance(value, str):
        return value if isinstance(value, int | float) else None
    if _LINK.search(unicodedata.normalize("NFKC", value)):
        return None
    visible = "".join(" " if unicodedata.category(character) in _UNSEEN else character for character in value)
    return " ".join(visible.split())[:MAX_VALUE_CHARS]
