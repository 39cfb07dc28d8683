"""The words of a message: Liquid, cut down to what a text message needs, checked when it is saved.

A marketer writes the template and a shopper's attributes fill it, so neither is trusted: tags and filters are
an allow-list without loops, wall clock or arithmetic, and no value can bring a line break, a link, or words by which
offers are refused. Nothing repeats, so a template of `MAX_TEMPLATE_CHARS` with short values is soon rendered; tests hold
the worst ones to a time.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate, Environment
from liquid.ast import BlockNode, ConditionalBlockNode, Node
from liquid.builtin import content, illegal, output
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.tags import assign_tag, case_tag, if_tag, unless_tag
from liquid.exceptions import LiquidError
from liquid.expression import Expression

from campaigns.content.filters import FILTERS, LOCALE, ZONE, argument_problem
from campaigns.content.links import LINK, OWN_LINKS_ONLY, LinkPolicy
from campaigns.errors import FieldError
from consent.keywords import adds_way_out

MAX_TEMPLATE_CHARS = 1600
MAX_VALUE_CHARS = 80
MAX_ATTRIBUTE_CHARS = 500
"""What follows in a value is not even looked at."""
MAX_TEXT_CHARS = 1530
"""Ten SMS segments of 153 GSM-7 characters; a longer text is not sent on any channel."""

ALWAYS_KNOWN = frozenset({"first_name", "last_name", "geofence", "campaign", "valid_until"})
"""Names that need no default; a subject without a first name renders as nothing. `valid_until` is when the offer ends."""

_CONTROL = frozenset({"Cc", "Zl", "Zp", "Cs"})
_UNSEEN = _CONTROL | {
    "Cf"
}  # zero-width and direction characters: right in a template's emoji, not in a value
_OVERRIDES = frozenset("\u202d\u202e")
"""Turn the letters that follow around, so that a link reads as another one."""
_MAX_OUTPUT_BYTES = 16_384
_SAMPLE = "Ana"
"""A value to try a template with."""
NOTHING: Mapping[str, Any] = {}
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
        for name, function in FILTERS.items():
            self.add_filter(name, function)


_LIQUID = _SmallLiquid()


def check_template(
    text: str, field: str = "template", links: LinkPolicy = OWN_LINKS_ONLY, given: Mapping[str, Any] = NOTHING
) -> tuple[FieldError, ...]:
    """What is wrong with a template; nothing means that it can be saved and will render. It may link to what `links` allows.

    A printed name must be one of `ALWAYS_KNOWN` or `given` (with a sample), be assigned in the template, or carry a ``default`` filter;
    a name that is only tested (``{% if tier == 'gold' %}``) need not, for its absence takes the other branch.
    """
    if not text.strip():
        return (FieldError(field, "a template needs words"),)
    if len(text) > MAX_TEMPLATE_CHARS:
        return (FieldError(field, f"a template holds at most {MAX_TEMPLATE_CHARS} characters"),)
    if any(unicodedata.category(character) in _CONTROL and character != "\n" for character in text):
        return (FieldError(field, "a template holds no control characters but the line break"),)
    if not _OVERRIDES.isdisjoint(text):
        return (
            FieldError(field, "a template does not turn the direction of letters around (U+202D, U+202E)"),
        )
    try:
        template = _parse(text)
        problems = _problems(template, given) or links.problems(text)
        if not problems:
            render(text, given, links=links)
            _try_with_values(text, links)
    except LiquidError as error:
        return (FieldError(field, f"not understood: {error.message}; {_allowed()}"),)
    except TextRefused as refused:
        return (FieldError(field, str(refused)),)
    return tuple(FieldError(field, problem) for problem in problems)


def render(
    text: str,
    values: Mapping[str, Any],
    *,
    links: LinkPolicy = OWN_LINKS_ONLY,
    locale: str | None = None,
    zone: str | None = None,
) -> str:
    """The finished text. Raises `TextRefused` if it comes out empty or longer than `MAX_TEXT_CHARS`, or links to what
    `links` does not allow. Amounts and dates are written as in `locale`, by the clock of `zone`.

    Values lose line breaks and control characters and end after `MAX_VALUE_CHARS`; one that holds a link or says how
    to refuse offers, or is neither text, number nor boolean, counts as missing. Raises it also where values make such
    together, or with the words beside them: every link must stand in the template as it is sent.
    """
    try:
        asked = _names_of(text)
        known = {name: clean for name in asked if (clean := _clean(values.get(name))) is not None}
        rendered = _parse(text).render({**_NO_VALUES, **known, LOCALE: locale, ZONE: zone}).strip()
    except (LiquidError, ArithmeticError, ValueError):  # whatever a value brings, it stops this text alone
        raise TextRefused("the template does not render with these values") from None
    if not rendered:
        raise TextRefused("the text comes out empty")
    if _has_joined_link(text, rendered):
        raise LinkMade("a value becomes part of a link, or makes one; put a space before and after it")
    if adds_way_out(rendered, text):
        raise TextRefused("values make a word by which offers are refused")
    if any(links.problems(rendered)):
        raise TextRefused("the text links to a host that link_domains does not list")
    if len(rendered) > MAX_TEXT_CHARS:
        raise TextRefused(f"the text comes out longer than {MAX_TEXT_CHARS} characters")
    return rendered


def _try_with_values(text: str, links: LinkPolicy) -> None:
    """Raises `LinkMade` for a template that would make a link of a name that is filled in."""
    try:
        render(text, dict.fromkeys(_names_of(text), _SAMPLE), links=links)
    except LinkMade:
        raise
    except TextRefused:
        return  # whether it comes out empty, or too long, depends on the values of the day


def _has_joined_link(template: str, rendered: str) -> bool:
    """Whether a link of the text does not stand so in the template."""
    if not LINK.search(text := unicodedata.normalize("NFKC", rendered)):
        return False
    written = unicodedata.normalize("NFKC", template)
    return any(LINK.search(word) and word not in written for word in text.split())


@lru_cache(maxsize=256)
def _parse(text: str) -> BoundTemplate:
    return _LIQUID.parse(text)


def _problems(template: BoundTemplate, given: Iterable[str]) -> list[str]:
    known = {*ALWAYS_KNOWN, *given}
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
        elif isinstance(part, Path) and not _is_plain(part):
            problems.append(f"{part}: only plain names are available, without dots or brackets")
        elif isinstance(part, Path) and printed and not defaulted and part.path[0] not in known:
            problems.append(
                f"{part}: not a name that every subject has ({', '.join(sorted(ALWAYS_KNOWN))}); "
                f"give it a default, as in {{{{ {part} | default: '' }}}}"
            )
    if isinstance(expression, FilteredExpression):
        unknown = sorted(_filters(expression) - _LIQUID.filters.keys())
        problems += [f"unknown filter {name}; {_allowed()}" for name in unknown]
        problems += [told for used in expression.filters or () if (told := argument_problem(used))]
    return problems


def _is_plain(named: Path) -> bool:
    [name, *further] = named.path
    return not further and isinstance(name, str) and name == name.strip()


def _nodes(nodes: list[Node], template: BoundTemplate) -> Iterator[Node]:
    context = template.context_class(template)
    for node in nodes:
        yield node
        yield from _nodes(list(node.children(context, include_partials=False)), template)


@lru_cache(maxsize=256)
def _names_of(text: str) -> frozenset[str]:
    """Every name that a template asks for."""
    template = _parse(text)
    return frozenset(
        str(part.path[0])
        for node in _nodes(template.nodes, template)
        for expression in node.expressions()
        for part in _parts(expression)
        if isinstance(part, Path)
    )


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
    value = value[:MAX_ATTRIBUTE_CHARS]
    if LINK.search(unicodedata.normalize("NFKC", value)) or adds_way_out(value):
        return None
    visible = value
    if not value.isprintable():  # what can be printed is all to be seen
        visible = "".join(
            " " if unicodedata.category(character) in _UNSEEN else character for character in value
        )
    return " ".join(visible.split())[:MAX_VALUE_CHARS]
