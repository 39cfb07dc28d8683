import pytest

from campaigns.content.links import OWN_LINKS_ONLY, link_policy, links_in

SHOP = link_policy("shop.example, *.deals.example outlet.example:8443 BÜCHER.example", "https://c.example/")


@pytest.mark.parametrize(
    "text",
    [
        "Fresh bread until 10.30, at St. Ann",
        "See shop.example.",
        "See https://shop.example/a?b=c#d!",
        "See http://SHOP.example:80/",
        "See https://shop.example:443/",
        "See x.deals.example or a.b.deals.example",
        "See outlet.example:8443/x",
        "See bücher.example",
        "Write to us@shop.example",
        "See https://c.example/p/abc",
        "(https://shop.example/x)",
    ],
)
def test_what_may_be_linked(text):
    assert SHOP.problems(text) == []


@pytest.mark.parametrize(
    "text",
    ["outlet.example", "http://c.example:8000/", "xn--bcher-kva.example", "https://[::1]/", "a.b.example:x"],
)
def test_a_host_is_what_it_is_called_and_no_other(text):
    assert len(SHOP.problems(text)) == 1


def test_where_nothing_is_listed_nothing_is_linked():
    [problem] = OWN_LINKS_ONLY.problems("See shop.example")
    assert "it lists none" in problem


def test_links_are_told_once_as_they_are_written():
    assert list(links_in("a.example, https://b.example/x. a.example")) == ["a.example", "https://b.example/x"]
