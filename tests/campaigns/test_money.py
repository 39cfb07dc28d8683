import pytest
from pydantic import TypeAdapter, ValidationError

from campaigns.limits.budget_form import Money
from campaigns.limits.costs import Costs, costs_from_text
from campaigns.limits.money import micros_of, money_text
from consent.entry import Channel
from consent.phone import origin_of

FRENCH = origin_of("+33639980001")


@pytest.mark.parametrize(
    ("text", "micros", "shown"),
    [
        ("0", 0, "0.00"),
        ("12.5", 12_500_000, "12.50"),
        ("0.0725", 72_500, "0.0725"),
        ("0.000001", 1, "0.000001"),
    ],
)
def test_amounts_are_exact(text, micros, shown):
    assert micros_of(text) == micros
    assert money_text(micros) == shown


@pytest.mark.parametrize(
    "text", ["", "-1", "1,5", "1.", ".5", "1e3", "1234567890", "0.0000001", "١", "１", "NaN"]
)
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match="no amount"):
        micros_of(text)


def test_a_form_takes_no_other_digits_either():
    assert TypeAdapter(Money).validate_python("12.50") == "12.50"
    with pytest.raises(ValidationError):
        TypeAdapter(Money).validate_python("１２")


def test_an_sms_costs_by_segment_and_country_and_a_push_nothing():
    costs = costs_from_text("0.08", "fr 0.0725, DE 0.09")
    assert costs.of(Channel.SMS, "x" * 160, FRENCH) == 72_500
    assert costs.of(Channel.SMS, "x" * 161, FRENCH) == 145_000
    assert costs.of(Channel.SMS, "x", origin_of("+420601123456")) == 80_000
    assert costs.of(Channel.SMS, "x", None) == 80_000
    assert costs.of(Channel.PUSH, "x" * 500, FRENCH) == 0
    assert costs_from_text("0.08", "") == Costs()


@pytest.mark.parametrize("text", ["FR", "FR 1 2", "F 1", "F1 1", "FR x"])
def test_a_rate_that_cannot_be_read_is_named(text):
    with pytest.raises(ValueError, match="read"):
        costs_from_text("0.08", text)
