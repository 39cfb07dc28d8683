from dataclasses import replace

import pytest

from campaigns.campaign import campaign_from_json, campaign_json, campaign_problems, finished_text
from campaigns.content.languages import Languages, MissingLocale, choose, lookup
from campaigns.country_rules import CountryRules
from campaigns.decide import decide
from campaigns.errors import InvalidCampaign
from campaigns.gates import GateName, Reason
from campaigns.saving import check_saved
from campaigns.wording import PLAIN, Wording
from geofences import store as geofence_store
from tests.campaigns.cast import ANA, BAKERY, BREAD, moment
from tests.conftest import MONDAY_NINE

TEXTS = {"fr": "Pain frais", "fr-CA": "Pain frais, eh", "de": "Frisches Brot", "zh-Hant": "麵包"}
ELSE_FRENCH = Languages("fr", MissingLocale.USE_DEFAULT)
ELSE_NOTHING = Languages(missing=MissingLocale.DO_NOT_SEND)
TOLD = replace(BREAD, template=TEXTS, languages=ELSE_FRENCH)


@pytest.mark.parametrize(
    ("reader", "tag"),
    [
        ("fr", "fr"),
        ("FR_ca", "fr-CA"),
        ("fr-CH", "fr"),
        ("fr-CA-x-north", "fr-CA"),
        ("de-Latn-DE-1996", "de"),
        ("zh-Hant-a-private-TW", "zh-Hant"),
        ("zh", None),
        ("zh-Hans", None),
        ("en", None),
        ("f", None),
    ],
)
def test_a_reader_is_served_by_rfc_4647_lookup(reader, tag):
    assert lookup(reader, TEXTS) == tag


@pytest.mark.parametrize(
    ("reader", "languages", "text"),
    [
        ("de-AT", ELSE_FRENCH, "Frisches Brot"),
        ("en", ELSE_FRENCH, "Pain frais"),
        (None, ELSE_FRENCH, "Pain frais"),
        ("de", ELSE_NOTHING, "Frisches Brot"),
    ],
)
def test_the_text_is_the_readers_or_the_default_if_that_was_chosen(reader, languages, text):
    told = replace(TOLD, languages=languages)
    assert finished_text(told, {}, Wording(locale=reader)) == text


@pytest.mark.parametrize("reader", ["en", None])
def test_where_it_says_do_not_send_nobody_is_told_in_another_language(reader):
    campaign = replace(TOLD, languages=ELSE_NOTHING)
    decision = decide(campaign, moment(recipient=replace(ANA, locale=reader)), MONDAY_NINE)
    assert decision.reason is Reason.NO_TEXT_IN_LANGUAGE
    [told] = [gate.input["problem"] for gate in decision.gates if gate.gate is GateName.TEXT]
    assert "do_not_send" in told


def test_amounts_are_written_as_where_the_reader_lives_and_else_in_the_texts_language():
    assert choose(TEXTS, ELSE_FRENCH, "de-AT").locale == "de-AT"
    assert choose(TEXTS, ELSE_FRENCH, "en-US").locale == "fr"
    assert choose("Bread", Languages("en-GB"), "fr").locale == "en-GB"
    assert choose("Bread", Languages(), "fr").locale == "fr"


@pytest.mark.parametrize(
    ("template", "languages", "fields"),
    [
        (TEXTS, Languages(), ["missing_locale"]),
        (TEXTS, Languages(missing=MissingLocale.USE_DEFAULT), ["default_locale"]),
        (TEXTS, Languages("en", MissingLocale.USE_DEFAULT), ["default_locale"]),
        (TEXTS, Languages("fr", MissingLocale.DO_NOT_SEND), ["default_locale"]),
        ("Bread", Languages("fr", MissingLocale.DO_NOT_SEND), ["missing_locale"]),
        ("Bread", Languages("français"), ["default_locale"]),
        ({"fr": "Pain", "FR": "Pain"}, ELSE_FRENCH, ["template"]),
        ({"fr": "Pain", "fr_CA": "Pain"}, ELSE_FRENCH, ["template"]),
        ({"fr": "Pain", "de": "{{ who }}"}, ELSE_FRENCH, ["template.de"]),
        ({"fr": "Pain", "de": "Brot: evil.example"}, ELSE_FRENCH, ["template.de"]),
        (
            {"fr": "Pain " * 150, "de": "Brot", "el": "Ψωμί " * 60},
            ELSE_FRENCH,
            ["template.fr", "template.el"],
        ),
    ],
)
def test_every_text_and_the_choice_are_checked_when_it_is_saved(template, languages, fields):
    problems = campaign_problems(replace(BREAD, template=template, languages=languages))
    assert [problem.field for problem in problems] == fields


def test_languages_are_read_back_and_a_campaign_from_before_has_one_text():
    assert campaign_from_json(campaign_json(TOLD)) == TOLD
    older = {name: value for name, value in campaign_json(BREAD).items() if not name.endswith("_locale")}
    assert campaign_from_json(older) == BREAD


def test_the_words_of_a_places_country_are_asked_of_every_language(records):
    strict = CountryRules(strict=True, sender="36111", brand="Chaland")
    campaign = replace(
        TOLD, template={"fr": "Chaland: pain frais. STOP au 36111", "de": "Chaland: Brot", "it": "STOP 36111"}
    )
    with records.writes.begin() as connection:
        geofence_store.put(connection, BAKERY, MONDAY_NINE)
        with pytest.raises(InvalidCampaign) as refused:
            check_saved(connection, campaign, strict, PLAIN, MONDAY_NINE)
        assert sorted({problem.field for problem in refused.value.errors}) == ["template.de", "template.it"]
        assert "fr.words@" in refused.value.errors[0].detail
        check_saved(connection, campaign, CountryRules(), PLAIN, MONDAY_NINE)
