import pytest
from pydantic import ValidationError

from campaigns.campaign import CampaignState
from campaigns.errors import InvalidCampaign
from campaigns.form import CampaignForm, campaign_of
from geofences.event import EventKind

BREAD = {
    "name": "Bread",
    "trigger": {"event": "enter", "geofences": ["bakery"]},
    "channel": "sms",
    "template": "Fresh bread until ten",
}


def fields_at_fault(raw):
    try:
        campaign_of(CampaignForm.model_validate(raw), "bread", CampaignState.DRAFT)
    except ValidationError as error:
        return [".".join(map(str, flaw["loc"])) for flaw in error.errors()]
    except InvalidCampaign as error:
        assert error.status == 422
        return [flaw.field for flaw in error.errors]
    return []


def test_the_smallest_form_has_no_fault():
    assert fields_at_fault(BREAD) == []
    for kind in EventKind:
        assert fields_at_fault(BREAD | {"trigger": {"event": kind.value, "any": True}}) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"nmae": "x"}, "nmae"),
        ({"state": "active"}, "state"),
        ({"id": "x"}, "id"),
        ({"name": ""}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "a\ud800"}, "name"),
        ({"name": 7}, "name"),
        ({"channel": "fax"}, "channel"),
        ({"trigger": {"event": "enter"}}, "trigger"),
        ({"trigger": {"event": "visit", "tags": ["a"]}}, "trigger.event"),
        ({"trigger": {"event": "enter", "tags": ["a"], "x": 1}}, "trigger.x"),
        ({"trigger": {"event": "enter", "geofences": ["a"], "any": True}}, "trigger.any"),
        ({"trigger": {"event": "enter", "any": "true"}}, "trigger.any"),
        ({"trigger": {"event": "enter", "any": True, "visit": {"number": 0}}}, "trigger.visit.number"),
        ({"trigger": {"event": "enter", "any": True, "absent_days": 367}}, "trigger.absent_days"),
        ({"trigger": {"event": "dwell", "any": True, "dwell_minutes": 241}}, "trigger.dwell_minutes"),
        ({"trigger": {"event": "enter", "any": True, "delay_seconds": -1}}, "trigger.delay_seconds"),
        ({"trigger": {"event": "enter", "any": True, "cancel_if": ["sneeze"]}}, "trigger.cancel_if.0"),
        ({"trigger": {"event": "enter", "any": True, "zones": ["till"]}}, "trigger.zones"),
        ({"trigger": {"event": "enter", "geofences": ["a"] * 1001}}, "trigger.geofences"),
        ({"starts_at": "2026-11-24T06:00:00"}, "starts_at"),
        ({"starts_at": 1764000000}, "starts_at"),
        ({"starts_at": "tomorrow"}, "starts_at"),
        ({"starts_at": "2026-11-24T06:00:00Z", "ends_at": "2026-11-24T06:00:00Z"}, "ends_at"),
        ({"audience": {"all": [{"attribute": "tier", "like": "g"}]}}, "audience.all[0].like"),
        ({"windows": [{"days": ["mon"], "from": "8:00", "to": "20:00"}]}, "windows.0.from"),
        ({"windows": [{"days": ["mon"], "from": "24:00", "to": "20:00"}]}, "windows.0.from"),
        ({"windows": [{"days": ["lundi"], "from": "08:00", "to": "20:00"}]}, "windows.0.days.0"),
        ({"windows": [{"days": [], "from": "08:00", "to": "20:00"}]}, "windows.0.days"),
        ({"windows": [{"days": ["mon"], "from": "08:00", "to": "08:00"}]}, "windows[0].to"),
        ({"cap": []}, "cap"),
        ({"cap": [{"max": 0, "per_seconds": 60}]}, "cap.0.max"),
        ({"cap": [{"max": True, "per_seconds": 60}]}, "cap.0.max"),
        ({"cap": [{"max": 1, "per_seconds": 60, "scope": "store"}]}, "cap.0.scope"),
        ({"cap": [{"max": 1, "per_seconds": 60, "channel": "fax"}]}, "cap.0.channel"),
        ({"min_gap_seconds": 0}, "min_gap_seconds"),
        ({"budget": {"messages": 0}}, "budget.messages"),
        ({"budget": {"spend": 3}}, "budget.spend"),
        ({"budget": {"spend_per_day": "3,50"}}, "budget.spend_per_day"),
        ({"budget": {"spend": "1.1234567"}}, "budget.spend"),
        ({"value": -1}, "value"),
        ({"per_visit": "two"}, "per_visit"),
        ({"min_confidence": 1.1}, "min_confidence"),
        ({"max_fix_age_seconds": 0}, "max_fix_age_seconds"),
        ({"priority": "50"}, "priority"),
        ({"priority": 101}, "priority"),
        ({"shelf_life_seconds": 0}, "shelf_life_seconds"),
        ({"max_segments": 0}, "max_segments"),
        ({"max_segments": 11}, "max_segments"),
        ({"max_segments": True}, "max_segments"),
        ({"template": "x" * 613}, "template"),
        ({"template": "x" * 161, "max_segments": 1}, "template"),
        ({"template": "ç" * 269}, "template"),
        ({"template": "x" * 613, "channel": "push", "max_segments": 10}, "template"),
        ({"template": "{{ tier }}"}, "template"),
        ({"template": "{% for x in y %}{% endfor %}"}, "template"),
    ],
)
def test_a_wrong_field_is_refused_by_name(change, field):
    assert fields_at_fault(BREAD | change) == [field]


def test_as_many_segments_as_are_allowed_are_no_fault():
    assert fields_at_fault(BREAD | {"template": "x" * 612}) == []
    assert fields_at_fault(BREAD | {"template": "x" * 1530, "max_segments": 10}) == []
    assert fields_at_fault(BREAD | {"template": "ç" * 670, "max_segments": 10}) == []


def test_an_error_names_what_makes_a_text_so_long():
    raw = BREAD | {"template": "ça " + "x" * 70, "max_segments": 1}
    with pytest.raises(InvalidCampaign) as found:
        campaign_of(CampaignForm.model_validate(raw), "bread", CampaignState.DRAFT)
    [error] = found.value.errors
    assert error.detail == "the text takes 2 SMS segments in UCS-2; max_segments allows 1; UCS-2 because of ç"


def test_all_broken_rules_are_named_together():
    broken = BREAD | {
        "trigger": {"event": "enter"},
        "template": "{{ tier }}",
        "audience": {"any": [1]},
        "windows": [{"days": ["mon"], "from": "08:00", "to": "08:00"}],
    }
    assert set(fields_at_fault(broken)) == {"trigger", "template", "audience.any[0]", "windows[0].to"}


@pytest.mark.parametrize("missing", ["name", "trigger", "channel", "template"])
def test_what_has_no_default_must_be_given(missing):
    assert fields_at_fault({name: value for name, value in BREAD.items() if name != missing}) == [missing]


@pytest.mark.parametrize(
    "template", [{}, {"fr": ""}, {"fr": 3}, {"fr": ["a"]}, 3, ["a"], {str(i): "a" for i in range(21)}]
)
def test_a_template_of_another_shape_is_refused_by_its_name(template):
    with pytest.raises(ValidationError) as refused:
        CampaignForm.model_validate(BREAD | {"template": template})
    assert refused.value.errors()[0]["loc"] == ("template",)


def test_texts_per_language_are_taken():
    raw = BREAD | {
        "template": {"fr": "Pain", "de": "Brot"},
        "default_locale": "fr",
        "missing_locale": "use_default",
    }
    campaign = campaign_of(CampaignForm.model_validate(raw), "bread", CampaignState.DRAFT)
    assert (campaign.template, campaign.languages.default) == ({"fr": "Pain", "de": "Brot"}, "fr")
