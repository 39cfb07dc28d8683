"""The page as a picture: what it holds in every language, and whether anybody can read it."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from consent.preference import CHOICES
from consent.preference_page import (
    PreferenceView,
    erasure_page,
    headers,
    plain_page,
    preference_page,
    unsubscribe_page,
)
from consent.preference_texts import Facts, languages, preferred, words_in
from tests.consent.cast import minute

BRAND = "Bäcker & <Söhne>"
FACTS = Facts(BRAND, "privacy@example.org", 30, 30)
VOID = {"input", "meta", "br"}


class Tree(HTMLParser):
    """Every element with its attributes, and whether all of them are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.text = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def view(language="en", allowed=frozenset({"location"}), **differing):
    shown = {"too_young": False, "until": minute(0), "said": None} | differing
    return PreferenceView("/p/token", words_in(language, FACTS), BRAND, allowed, **shown)


def pages(language):
    words = words_in(language, FACTS)
    yield preference_page(view(language, said="saved"))
    yield preference_page(view(language, too_young=True, said="refused_young"))
    yield erasure_page(words, BRAND, "/p/token")
    yield unsubscribe_page(words, BRAND, "/u/token", done=False)
    yield unsubscribe_page(words, BRAND, "/u/token", done=True)
    yield plain_page(words, BRAND, "broken_title", "broken")


@pytest.mark.parametrize("language", list(languages()))
def test_every_page_in_every_language_is_whole_named_and_self_contained(language):
    for text in pages(language):
        tree = Tree(text)
        assert tree.all("html") == [{"lang": language}]
        assert len(tree.all("main")) == len(tree.all("h1")) == len(tree.all("title")) == 1
        assert not {name for name, _ in tree.found} & {
            "script",
            "img",
            "link",
            "iframe",
            "svg",
            "object",
            "video",
        }
        assert "http" not in text.replace("<!doctype html>", "")
        assert "<Söhne>" not in text
        assert BRAND in tree.text
        assert not re.search(r"[{}]", re.sub(r"<style>.*</style>", "", text, flags=re.DOTALL))
        assert not any(name.startswith("on") or name == "style" for _, each in tree.found for name in each)
        for form in tree.all("form"):
            assert form["method"] == "post"
            assert form["action"].startswith(("/p/token", "/u/token"))


def test_the_seven_languages_are_there_and_say_the_same_things():
    assert list(languages()) == ["fr", "en", "de", "es", "it", "nl", "pt"]
    names = {language: set(words_in(language, FACTS).say) for language in languages()}
    assert all(each == names["fr"] for each in names.values())
    versions = {
        notice.version for language in languages() for notice in words_in(language, FACTS).notices.values()
    }
    assert len(versions) == 7 * len(CHOICES)
    assert all(len(version) <= 100 for version in versions)


def test_a_notice_gets_another_version_with_every_word_that_changes():
    versions = [words_in("fr", Facts(BRAND, "c", 30, days)).notices["location"].version for days in (30, 31)]
    assert versions[0] != versions[1]


def test_every_switch_has_a_label_and_a_description():
    tree = Tree(preference_page(view(allowed={"location", "cart"})))
    switches = [each for each in tree.all("input") if each["type"] == "checkbox"]
    assert [each["id"] for each in switches] == [choice.name for choice in CHOICES]
    assert {each["for"] for each in tree.all("label")} == {each["id"] for each in switches}
    ids = {attributes["id"] for _, attributes in tree.found if "id" in attributes}
    described = [each["aria-describedby"] for _, each in tree.found if "aria-describedby" in each]
    assert set(described) <= ids
    assert [each["id"] for each in switches if "checked" in each] == ["location", "cart"]
    assert [each["value"] for each in tree.all("input") if each["name"] == "shown"] == ["location", "cart"]
    assert len(tree.all("legend")) == len(tree.all("fieldset")) == 1


def test_who_is_too_young_can_say_no_only():
    tree = Tree(preference_page(view(too_young=True, allowed={"cart"})))
    switches = [each for each in tree.all("input") if each["type"] == "checkbox"]
    assert [each["id"] for each in switches if "disabled" not in each] == ["cart"]


def test_the_policy_lets_in_this_style_and_nothing_else():
    told = headers()
    css = re.search(r"<style>(.*)</style>", preference_page(view()), re.DOTALL).group(1)
    digest = b64encode(sha256(css.encode()).digest()).decode()
    assert told["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert (told["Referrer-Policy"], told["Cache-Control"]) == ("no-referrer", "no-store")
    assert "url(" not in css
    assert "@import" not in css


def test_the_language_asked_for_is_found():
    assert preferred("da, de-AT;q=0.8, en;q=0.7") == "de"
    assert preferred("*") == preferred(None) == preferred("") == "fr"


def luminance(colour):
    full = "".join(each * 2 for each in colour) if len(colour) == 3 else colour
    channels = [int(full[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_as_wcag_asks(scheme):
    css = files("consent").joinpath("preference.css").read_text("utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): #([0-9a-f]+)", {"light": light, "dark": dark}[scheme]))
    for ink, paper in [
        ("ink", "paper"), ("ink", "card"), ("ink", "glow"), ("soft", "paper"), ("soft", "card"),
        ("mark", "paper"), ("mark", "card"), ("on-mark", "mark"), ("on-alarm", "alarm"),
    ]:  # fmt: skip
        assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)
    for edge in ["line", "mark"]:
        assert contrast(colours[edge], colours["card"]) >= 3, edge
