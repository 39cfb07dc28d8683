import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.content.links import link_policy
from campaigns.content.template import (
    MAX_TEMPLATE_CHARS,
    MAX_TEXT_CHARS,
    MAX_VALUE_CHARS,
    LinkMade,
    TextRefused,
    check_template,
    render,
)

SHOP = link_policy("shop.example", "")
HELLO = "{{ first_name | default: 'Hello' }}, a coffee while you wait?"


def test_a_known_name_is_filled_in_and_a_missing_one_takes_its_default():
    assert check_template(HELLO) == ()
    assert render(HELLO, {"first_name": "Ana"}) == "Ana, a coffee while you wait?"
    assert render(HELLO, {}) == "Hello, a coffee while you wait?"
    assert render(HELLO, {"first_name": ""}) == "Hello, a coffee while you wait?"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Fresh bread until ten", "Fresh bread until ten"),
        ("At {{ geofence }}: {{ campaign }}", "At Bakery: Bread"),
        ("Tier {{ tier | default: 'none' | upcase }}", "Tier GOLD"),
        ("{% if tier == 'gold' %}Gold{% elsif tier %}Other{% else %}No{% endif %} tier", "Gold tier"),
        ("{% unless stranger %}Welcome back{% endunless %}", "Welcome back"),
        ("{% case tier %}{% when 'gold' %}Gold!{% else %}Hi!{% endcase %}", "Gold!"),
        ("{% assign who = first_name | default: 'you' %}For {{ who }}", "For Ana"),
        ("{{ visits | default: 0 }} visits", "12 visits"),
        ("One\nTwo", "One\nTwo"),
    ],
)
def test_what_a_marketer_may_write(template, text):
    values = {"first_name": "Ana", "tier": "gold", "visits": 12, "geofence": "Bakery", "campaign": "Bread"}
    assert check_template(template) == ()
    assert render(template, values) == text


@pytest.mark.parametrize(
    "template",
    [
        "",
        "   \n",
        "{{ fist_name }}",
        "Hello {{ tier }}",
        "{% if tier %}{{ tier }}{% endif %}",
        "{% assign x = tier %}{{ x }}",
        "{{ first_name",
        "{{ }}",
        "{% if %}x{% endif %}",
        "{% for i in (1..1000000) %}x{% endfor %}",
        "{% tablerow i in (1..9) %}x{% endtablerow %}",
        "{% if (1..99999999999) contains 'x' %}x{% endif %}x",
        "x{{ (1..99999999999) | default: 'x' }}",
        "{% include 'secret' %}",
        "{% render 'secret' %}",
        "{% capture x %}y{% endcapture %}{{ x }}",
        "{% increment x %}",
        "{% cycle 'a', 'b' %}",
        "{% liquid\n echo 'x' %}",
        "{% echo 'x' %}",
        "{{ 'x' | append: 'y' }}",
        "{{ 'x' | replace: '', 'yyyyyyyyyy' }}",
        "{{ 9 | times: 9 }}",
        "{{ 9 | round: -999999999 }}",
        "{{ 'now' | date: '%s' }}",
        "{{ now }}",
        "{{ first_name.size }}",
        "{{ a.b | default: 'x' }}",
        "{{ a['b'] | default: 'x' }}",
        "{{ [first_name] | default: 'x' }}",
        "{{ first_name.__class__ | default: 'x' }}",
        "{{ first_name | nosuch }}",
        "bell \x07",
        "line \u2028 separator",
        "x" * (MAX_TEXT_CHARS + 1),
        "x" * (MAX_TEMPLATE_CHARS + 1),
        "{{ first_name }}",
        "{% if a " + "or a " * 300 + "%}x{% endif %}",
        "{% if a %}" * 150 + "x" + "{% endif %}" * 5,
    ],
)
def test_what_is_refused_when_it_is_saved_and_quickly(template):
    started = time.thread_time()
    errors = check_template(template)
    assert time.thread_time() - started < 1
    assert errors
    assert all(error.field == "template" for error in errors)


def test_an_error_says_what_to_do():
    [error] = check_template("Hello {{ fist_name }}")
    assert "fist_name" in error.detail
    assert "default" in error.detail
    [error] = check_template("{% for x in y %}{% endfor %}")
    assert "allowed" in error.detail or "tags:" in error.detail


@pytest.mark.parametrize(
    "value",
    [
        "Ana\nBuy now",
        "Ana\r\nBuy now",
        "Ana\u2028Buy now",
        "Ana\u0085Buy now",
        "Ana\x0bBuy now",
        "Ana\tBuy now",
    ],
)
def test_a_value_cannot_break_the_line(value):
    assert render("Hi {{ first_name }}!", {"first_name": value}) == "Hi Ana Buy now!"


@pytest.mark.parametrize(
    "value",
    [
        "https://evil.example",
        "see www.evil",
        "evil.com",
        "EVIL.COM/x",
        "Ana evil.co.uk",
        "//1.2.3.4",
        "192.0.2.7/x",
        "пример.рф",
        "evil\u3002com",
        "xn--e1afmkfd.xn--p1ai",
        "ｅｖｉｌ．ｃｏｍ",
        ["a"],
        {"a": 1},
        None,
        object(),
    ],
)
def test_a_value_with_a_link_or_without_a_meaning_counts_as_missing(value):
    assert render(HELLO, {"first_name": value}).startswith("Hello,")


@pytest.mark.parametrize("value", ["J. Martin", "Ana-Maria", "O'Neill", "3.50", "St. Éloi", "12.5.2026"])
def test_a_value_that_only_has_dots_is_no_link(value):
    assert render(HELLO, {"first_name": value}).startswith(value)


def test_a_value_is_text_not_template():
    assert render("Hi {{ first_name }}", {"first_name": "{{ tier }}{% if %}"}) == "Hi {{ tier }}{% if %}"


def test_a_long_value_ends_early():
    assert render("{{ first_name }}", {"first_name": "x" * 5000}) == "x" * MAX_VALUE_CHARS


def test_zero_width_and_direction_characters_do_not_pass():
    assert render("Hi {{ first_name }}", {"first_name": "A\u200bn\u202ea"}) == "Hi A n a"


def test_a_text_that_comes_out_too_long_or_empty_is_refused():
    many = "{{ first_name }}" * 20 + "{{ geofence }}"
    with pytest.raises(TextRefused, match="longer than"):
        render(many, {"first_name": "x" * 80})
    with pytest.raises(TextRefused, match="empty"):
        render("{{ first_name }}", {})


def test_a_template_that_fails_on_a_value_is_refused_without_naming_the_value():
    with pytest.raises(TextRefused) as refused:
        render("{% if visits contains 3 %}x{% endif %}y", {"visits": 12345})
    assert "12345" not in str(refused.value)


@given(st.text(max_size=60), st.text(max_size=200))
def test_whatever_is_saved_renders_in_one_piece(template, value):
    if check_template(template):
        return
    try:
        text = render(template, {"first_name": value})
    except TextRefused:
        return
    assert 0 < len(text) <= MAX_TEXT_CHARS


@given(st.text(max_size=200))
def test_no_value_brings_a_control_character(value):
    text = render("Hi {{ first_name }}!", {"first_name": value})
    assert text.isprintable() or not value.isprintable()
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("Hi {{ first_name }}.{{ last_name }}", {"first_name": "evil", "last_name": "com"}),
        ("Hi {{ first_name }}{{ last_name }}", {"first_name": "evil.", "last_name": "com"}),
        ("Hi {{ first_name }}.example", {"first_name": "evil"}),
        ("Hi {{ first_name }}{{ last_name }}evil", {"first_name": "/", "last_name": "/"}),
        ("See shop.example/{{ first_name }}", {"first_name": "Ana"}),
        ("{{ a | default: 1 }}.{{ b | default: 2 }}.3.4", {"a": 192, "b": 0}),
    ],
)
def test_values_make_no_link_together_or_with_the_words_beside_them(template, values):
    with pytest.raises(LinkMade, match="space before and after"):
        render(template, values)


@pytest.mark.parametrize("template", ["Bonjour.{{ first_name }}", "See shop.example/{{ first_name }}"])
def test_a_template_that_would_make_links_of_names_is_refused_when_it_is_saved(template):
    [problem] = check_template(template, links=SHOP)
    assert "space before and after" in problem.detail


@pytest.mark.parametrize(
    "template", ["{{ first_name }}: see https://shop.example/a?b=c.", "{{ geofence }}. Open"]
)
def test_a_link_that_stands_in_the_template_stays(template):
    assert check_template(template, links=SHOP) == ()
    assert render(template, {"first_name": "J.", "geofence": "St. Ann"}, links=SHOP)
