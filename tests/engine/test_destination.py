"""Which URLs and addresses may be called: a table of what attackers try."""

import pytest

from engine.destination import Destinations, Targets, is_public

PUBLIC = Destinations()
ANY = Destinations(Targets.ANY)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "3fff::1",
        "5f00::1",
        "not an address",
    ],
)
def test_an_address_that_is_not_public_is_not_called(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::808:808"]
)
def test_a_public_address_is(address):
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://hooks.example.org/", "https://"),
        ("ftp://hooks.example.org/", "https://"),
        ("hooks.example.org", "https://"),
        ("https://127.0.0.1/", "public"),
        ("https://[::1]/", "public"),
        ("https://[::ffff:127.0.0.1]/", "public"),
        ("https://169.254.169.254/latest/meta-data/", "public"),
        ("https://2130706433/", "public"),
        ("https://0x7f000001/", "public"),
        ("https://0177.0.0.1/", "must be a URL"),
        ("https://127.1/", "public"),
        ("https://127.0.0.1./", "public"),
        ("https://localhost/", "public"),
        ("https://intranet/", "public"),
        ("https://printer.local/", "public"),
        ("https://[fe80::1%25eth0]/", "host"),
        ("https://hooks.example.org:22/", "443, 8443"),
        ("https://hooks.example.org:99999/", "443, 8443"),
        ("https://user:pass@hooks.example.org/", "user name"),
        ("https://hooks.example.org/#x", "fragment"),
        ("https://hooks.example.org/a b", "printable"),
        ("https:///x", "host"),
        ("https://exa%6dple.org/", "host"),
        ("https://" + "a" * 2050, "2048"),
        ("", "2048"),
    ],
)
def test_a_url_that_is_not_taken_says_why_and_is_not_repeated(url, said):
    flaw = PUBLIC.flaw(url)
    assert flaw
    assert said in flaw
    assert not url or url not in flaw


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.org/a?b=c",
        "https://hooks.example.org:8443/",
        "https://münchen.example.org/",
        "https://93.184.216.34/",
    ],
)
def test_a_url_of_the_public_internet_is_taken(url):
    assert PUBLIC.flaw(url) is None


def test_development_may_call_its_own_machine():
    assert ANY.flaw("http://127.0.0.1:9000/hooks") is None
    assert ANY.flaw("ftp://127.0.0.1/") is not None
    assert not ANY.refuses(["127.0.0.1"])


def test_one_private_address_of_a_name_spoils_all():
    assert PUBLIC.refuses(["93.184.216.34", "10.0.0.1"])
    assert not PUBLIC.refuses(["93.184.216.34"])
