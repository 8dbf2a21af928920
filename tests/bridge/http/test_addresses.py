"""Which addresses may be turned to."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reapaint.http.addresses import ParsedUrl, is_public, parse_url, resolve
from reapaint.http.errors import Refused

NOBODY: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
        "fec0::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_inner_addresses(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_as_public_as_what_it_maps(address: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    assert is_public(mapped) == is_public(address)


@pytest.mark.parametrize(
    "url", ["http://\uff11\uff12\uff17.0.0.1/", "http://\u24dbocalhost/", "http://127\u30020.0.1/"]
)
def test_letters_that_only_look_different(url: str) -> None:
    with pytest.raises(Refused, match="inside"):
        parse_url(url, NOBODY)


@given(st.text(max_size=60))
def test_no_text_is_more_than_refused(text: str) -> None:
    for url in (text, f"http://{text}", f"http://{text}/a.wav", f"https://a.b:{text}"):
        try:
            target = parse_url(url, NOBODY)
        except Refused:
            continue
        assert target.scheme in ("http", "https")
        assert target.host.isascii()
        assert parse_url(target.url, NOBODY) == target


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://2130706433/", "2130706433"),
        ("http://0x7f.1/", "0x7f.1"),
        ("http://0177.0.0.1/", "0177.0.0.1"),
        ("http://127.1/", "127.1"),
        ("http://localtest.me/", "localtest.me"),
    ],
)
def test_other_spellings_are_seen_when_they_are_resolved(url: str, host: str) -> None:
    target = parse_url(url, NOBODY)
    assert target.host == host
    with pytest.raises(Refused, match="inside"):
        resolve(target, NOBODY, lambda *_: ["127.0.0.1"])


def test_the_system_takes_odd_spellings_for_what_they_are() -> None:
    for url in ("http://2130706433/", "http://0x7f.1/", "http://127.1/"):
        with pytest.raises(Refused):
            resolve(parse_url(url, NOBODY), NOBODY)


def test_one_inner_address_among_public_ones_is_enough_to_refuse() -> None:
    target = ParsedUrl("http", "example.com", 80, "/")
    assert resolve(target, NOBODY, lambda *_: ["8.8.8.8"]) == ["8.8.8.8"]
    with pytest.raises(Refused, match="inside"):
        resolve(target, NOBODY, lambda *_: ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(Refused, match="found"):
        resolve(target, NOBODY, lambda *_: [])


@pytest.mark.parametrize("listed", ["nas.local", "nas.local:8080"])
def test_a_listed_host_may_be_private(listed: str) -> None:
    allowed = frozenset((listed,))
    target = parse_url("http://NAS.local:8080/a.wav", allowed)
    assert resolve(target, allowed, lambda *_: ["192.168.1.5"]) == ["192.168.1.5"]


def test_a_listed_port_is_no_other() -> None:
    allowed = frozenset(("127.0.0.1:8080",))
    parse_url("http://127.0.0.1:8080/", allowed)
    with pytest.raises(Refused):
        parse_url("http://127.0.0.1:8081/", allowed)
