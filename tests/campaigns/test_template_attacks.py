"""What a template, or a value filled into one, may try: each is refused when it is saved, or cut off with a clear error."""

import time

import pytest

from campaigns.content.links import link_policy
from campaigns.content.template import (
    MAX_TEXT_CHARS,
    MAX_VALUE_CHARS,
    TextRefused,
    check_template,
    render,
)

SHOP = link_policy("shop.example, *.deals.example", "https://c.example:8443")
LIMIT_SECONDS = 1.0
HUGE = 10**18

ATTACKS = [
    ("loop", "{% for i in (1..1000000000) %}x{% endfor %}", "tags:"),
    ("loop over text", "{% for c in first_name %}{{ c }}{% endfor %}", "tags:"),
    ("loop by table", "{% tablerow i in (1..9) %}x{% endtablerow %}", "tags:"),
    (
        "loop in a loop",
        "{% for i in (1..9999) %}{% for j in (1..9999) %}x{% endfor %}{% endfor %}",
        "tags:",
    ),
    ("endless counter", "{% increment x %}", "tags:"),
    ("cycle", "{% cycle 'a', 'b' %}", "tags:"),
    ("range", "{{ (1..99999999999) | default: 'x' }}", "range"),
    ("range in a test", "{% if (1..99999999999) contains 'x' %}x{% endif %}x", "range"),
    ("include", "{% include 'x' %}", "tags:"),
    ("render", "{% render 'x' %}", "tags:"),
    ("macro", "{% macro f %}x{% endmacro %}{% call f %}", "tags:"),
    ("capture", "{% capture a %}x{% endcapture %}{{ a }}", "tags:"),
    (
        "nested captures",
        "{% capture a %}{% capture b %}x{% endcapture %}{{ b }}{{ b }}{% endcapture %}{{ a }}{{ a }}",
        "tags:",
    ),
    ("code block", "{% liquid\nassign x = 1\necho x %}", "tags:"),
    ("comment that hides", "{% comment %}{% for %}{% endcomment %}x", "tags:"),
    ("deep blocks", "{% if a %}" * 9 + "x" + "{% endif %}" * 9, "not understood"),
    ("unclosed", "{{ first_name", "not understood"),
    ("huge text", "x" * (MAX_TEXT_CHARS + 1), "longer than"),
    ("class of a value", "{{ first_name.__class__ | default: 'x' }}", "plain names"),
    (
        "way to the interpreter",
        "{{ first_name.__class__.__mro__[1].__subclasses__ | default: '' }}",
        "plain names",
    ),
    ("globals", "{{ first_name.__init__.__globals__ | default: '' }}", "plain names"),
    ("attribute by index", "{{ first_name['__class__'] | default: 'x' }}", "plain names"),
    ("method", "{{ first_name.upper | default: 'x' }}", "plain names"),
    ("size", "{{ first_name.size | default: 'x' }}", "plain names"),
    ("attribute in a test", "{% if first_name.__class__ %}x{% endif %}y", "plain names"),
    ("attribute in a filter", "{{ first_name | default: last_name.__class__ }}", "plain names"),
    ("name by a name", "{{ [first_name] | default: 'x' }}", "plain names"),
    ("locale by its name", "{{ [' locale'] | default: 'x' }}", "plain names"),
    ("unknown name", "{{ password }}", "give it a default"),
    ("unknown filter", "{{ first_name | eval }}", "filters:"),
    ("join by append", "{{ 'x' | append: 'y' }}", "filters:"),
    ("growth by replace", "{{ 'xx' | replace: 'x', 'xxxxxxxxxx' }}", "filters:"),
    ("arithmetic", "{{ 9 | times: 999999999999 }}", "filters:"),
    ("huge rounding", "{{ 9 | round: -999999999 }}", "filters:"),
    ("decoding", "{{ 'aHR0cA==' | base64_decode }}", "filters:"),
    ("split", "{{ first_name | split: '' | join: '.' }}", "filters:"),
    ("huge argument", f"{{{{ first_name | truncate: {HUGE} }}}}", "truncate: a number from 1 to"),
    ("negative argument", "{{ first_name | truncate: -1 }}", "truncate: a number from 1 to"),
    ("huge ending", "{{ first_name | truncate: 1, '" + "x" * 500 + "' }}", "at most 10 characters"),
    ("ending from a value", "{{ first_name | truncatewords: 1, last_name }}", "truncatewords: a number"),
    ("argument from a value", "{{ first_name | truncate: last_name }}", "truncate: a number"),
    ("argument by name", "{{ first_name | truncate: num: 5 }}", "truncate: a number"),
    ("no argument", "{{ first_name | truncate }}", "truncate: a number"),
    ("too many arguments", "{{ first_name | truncate: 3, '.', 'x' }}", "truncate: a number"),
    ("argument of none", "{{ first_name | upcase: 3 }}", "takes nothing"),
    ("currency of its own", "{{ first_name | money: 'evil.example' }}", "ISO 4217"),
    ("unknown currency", "{{ first_name | money: 'XXXX' }}", "ISO 4217"),
    ("currency from a value", "{{ first_name | money: last_name }}", "ISO 4217"),
    ("wall clock", "{{ 'now' | date: '%s' }}", "one of 'short'"),
    ("huge date format", "{{ valid_until | date: '" + "%Y" * 200 + "' }}", "one of 'short'"),
    ("now", "{{ now }}", "give it a default"),
    ("link elsewhere", "See https://evil.example/a", "link_domains"),
    ("link without a scheme", "See evil.example", "link_domains"),
    ("link in a default", "{{ first_name | default: 'evil.example' }}", "link_domains"),
    ("link in a branch", "{% if tier %}evil.example{% endif %}x", "link_domains"),
    ("link in a comparison", "{% assign a = 'evil.example' %}x", "link_domains"),
    ("link to an address", "See 192.0.2.7", "link_domains"),
    ("link of wide letters", "ｅｖｉｌ．ｅｘａｍｐｌｅ", "link_domains"),
    ("link with a hidden letter", "ev\u200bil.example", "link_domains"),
    ("link in another script", "See магазин.рф", "link_domains"),
    ("link below a host", "See x.shop.example", "link_domains"),
    ("link above a wildcard", "See deals.example", "link_domains"),
    ("host at the end of another", "See evilshop.example", "link_domains"),
    ("host in front of another", "See shop.example.evil.test", "link_domains"),
    ("host as a user", "See https://shop.example@evil.test/", "not as one to a host"),
    ("host before a backslash", "See https://shop.example\\@evil.test/", "not as one to a host"),
    ("another port", "See https://shop.example:8080/", "link_domains"),
    ("another scheme", "See javascript://shop.example/%0Aalert", "not as one to a host"),
    ("mail elsewhere", "Write to us@evil.example", "link_domains"),
    ("link completed by a value", "See https://shop.example/{{ first_name }}", "space before and after"),
    ("host completed by a value", "Bonjour{{ first_name }}.example", "space before and after"),
    ("turned around", "See \u202eelpmaxe.pohs", "direction"),
    ("control character", "bell \x07", "control characters"),
    ("separator of lines", "line \u2028 separator", "control characters"),
]


def soon(began: float) -> bool:
    return time.perf_counter() - began < LIMIT_SECONDS


@pytest.mark.parametrize(("attack", "template", "because"), ATTACKS, ids=[each[0] for each in ATTACKS])
def test_a_template_is_refused_when_it_is_saved_and_soon(attack, template, because):
    began = time.perf_counter()
    problems = check_template(template, links=SHOP)
    assert soon(began), attack
    assert problems, attack
    assert because in problems[0].detail
    assert problems[0].field == "template"


@pytest.mark.parametrize(
    "template", ["{{ first_name | default: 'x' }}", "Hi {{ first_name | default: 'x' }} !"]
)
@pytest.mark.parametrize(
    "value",
    [
        "https://evil.example",
        "evil.example/x",
        "us@evil.example",
        "http:evil.test//x",
        "192.0.2.7",
        "shop.example",
        "ｅｖｉｌ。ｅｘａｍｐｌｅ",
        "STOP",
        "Reply STOP to 36111",
        "S.T.O.P",
        "ＳＴＯＰ",
        "st0p",
        "s t o p",
        "to unsubscribe write no",
        "opt-out: 36111",
        "Arrêt",
        "désabonnement",
        "Abmeldung",
        ["list"],
        {"a": "map"},
        None,
    ],
    ids=str,
)
def test_a_link_or_a_way_out_in_a_value_counts_as_missing(template, value):
    assert render(template, {"first_name": value}) in ("x", "Hi x !")


@pytest.mark.parametrize("value", ["Bus stop café", "The End", "Nonstop", "Ann Stopford", "Fin", "J. Martin"])
def test_what_only_looks_like_one_stays(value):
    assert render("{{ first_name | default: 'x' }}", {"first_name": value}) == value


@pytest.mark.parametrize("name", ["first_name", "last_name", "geofence", "campaign", "tier", "x y", "locale"])
@pytest.mark.parametrize(
    "value",
    [
        *(f"A{line}B" for line in ("\n", "\r\n", "\t", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029")),
        *(
            f"A{way}B"
            for way in ("\u200e", "\u200f", "\u202a", "\u202d", "\u202e", "\u2066", "\u2069", "\u061c")
        ),
        *(f"A{unseen}B" for unseen in ("\u200b", "\u2060", "\ufeff", "\x00", "\x1b", "\U000e0041")),
    ],
    ids=ascii,
)
def test_no_attribute_brings_a_line_a_direction_or_anything_unseen(name, value):
    values = {"first_name": "Ana", name: value}
    rendered = render(
        "{{ first_name | default: 'x' }} {{ tier | default: 'y' }} {{ geofence }} {{ campaign }}", values
    )
    assert rendered.isprintable()


@pytest.mark.parametrize(
    ("template", "values", "because"),
    [
        (
            "{{ first_name }}.{{ last_name }}",
            {"first_name": "evil", "last_name": "example"},
            "part of a link",
        ),
        ("{{ first_name }}{{ last_name }}x", {"first_name": "/", "last_name": "/"}, "part of a link"),
        ("shop.example{{ first_name }}", {"first_name": "evil"}, "part of a link"),
        (
            "{{ first_name }}{{ last_name }} now",
            {"first_name": "ST", "last_name": "OP"},
            "offers are refused",
        ),
        ("{{ first_name }}OP now", {"first_name": "ST"}, "offers are refused"),
        ("{{ first_name }}-{{ last_name }}", {"first_name": "opt", "last_name": "out"}, "offers are refused"),
        ("{{ first_name }}" * 90, {"first_name": "x" * MAX_VALUE_CHARS}, "longer than"),
        ("{% if visits contains 3 %}x{% endif %}y", {"visits": 12345}, "does not render"),
        ("{{ first_name }}", {"first_name": "\u200b"}, "empty"),
    ],
)
def test_what_values_make_together_is_cut_off_with_a_clear_error(template, values, because):
    began = time.perf_counter()
    with pytest.raises(TextRefused, match=because) as refused:
        render(template, values, links=SHOP)
    assert soon(began)
    assert not any(str(value) in str(refused.value) for value in values.values() if len(str(value)) > 4)


@pytest.mark.parametrize(
    "template",
    [
        "{% assign a = 'x' %}" + "{% assign a = a | default: a | upcase | strip %}" * 30 + "{{ a }}",
        "{{ first_name" + " | upcase | downcase" * 75 + " }}",
        "{{ first_name" + " | default: first_name" * 70 + " }}",
        "{% case first_name %}" + "{% when 'a', 'b', 'c' %}x" * 50 + "{% else %}y{% endcase %}",
        "{{ valid_until | date: 'full' }}" * 45,
        "{{ first_name }}" * 100,
        "{% if first_name contains last_name %}x{% endif %}" * 30 + "y",
        "{% if a " + "or a " * 300 + "%}x{% endif %}y",
        "a.b " * 400,
        "s t o p " * 190,
    ],
    ids=range(10),
)
def test_the_longest_work_that_a_template_can_ask_for_is_done_soon(template):
    """Nothing repeats in a template, so that its length, and that of values, bounds the work."""
    value = ("ab-" * MAX_VALUE_CHARS)[:500]
    began = time.perf_counter()
    check_template(template, links=SHOP)
    try:
        text = render(template, {"first_name": value, "last_name": value}, links=SHOP)
    except TextRefused:
        text = ""
    assert soon(began)
    assert len(text) <= MAX_TEXT_CHARS


def test_a_value_that_should_be_short_is_looked_at_soon():
    began = time.perf_counter()
    for value in ("a." * 100_000, "s t o p " * 50_000, "1." * 100_000, "\u202e" * 200_000, "a" * 10**6):
        assert render("Hi {{ first_name | default: 'x' }}", {"first_name": value})
    assert soon(began)
