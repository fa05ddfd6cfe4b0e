"""A webhook reaches only the public internet, whatever its name resolves to."""

import asyncio
import socket
from typing import Any

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from sessions.webhooks.addresses import CheckedBackend, Unreachable, url_problem
from sessions.webhooks.sending import post
from tests.serving import Receiver

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "0.0.0.0",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "ff02::1",
    "2001:db8::1",
    # IPv4 in IPv6: mapped, 6to4, Teredo, NAT64
    "::ffff:127.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
]
PUBLIC = ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101"]


@pytest.fixture(autouse=True)
def nothing_allowed(settings: Settings, this_machine_allowed: None) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = []


def resolves_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let every name resolve to these addresses, one list a look-up; returns what was asked."""
    asked: list[str] = []
    left = list(answers)

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        asked.append(host)
        found = left.pop(0) if len(left) > 1 else left[0]
        kinds = {True: socket.AF_INET6, False: socket.AF_INET}
        return [
            (kinds[":" in address], socket.SOCK_STREAM, 6, "", (address, port)) for address in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_resolves_to_a_private_address_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    resolves_to(monkeypatch, [address])
    with pytest.raises(Unreachable):
        asyncio.run(CheckedBackend().connect_tcp("innocent.example", 80, timeout=1))


def test_one_private_address_among_public_ones_is_enough_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolves_to(monkeypatch, [PUBLIC[0], "10.0.0.1"])
    with pytest.raises(Unreachable):
        asyncio.run(CheckedBackend().connect_tcp("innocent.example", 80, timeout=1))


@pytest.mark.parametrize("address", PUBLIC)
def test_the_connection_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    # A name that turns private on the second look: there is none.
    asked = resolves_to(monkeypatch, [address], ["127.0.0.1"])
    connected: list[str] = []

    async def connect(self: Any, host: str, *_: Any) -> None:
        connected.append(host)
        raise httpcore.ConnectError("as far as this test goes")

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    with pytest.raises(httpcore.ConnectError):
        asyncio.run(CheckedBackend().connect_tcp("innocent.example", 80))
    assert (asked, connected) == (["innocent.example"], [address])


def test_a_receiver_on_this_machine_hears_nothing_unless_it_is_allowed(
    receiver: Receiver, settings: Settings
) -> None:
    answer = asyncio.run(post(receiver.url, {}, b"{}"))
    assert answer.status is None
    assert "public internet" in answer.problem
    assert receiver.requests == []
    settings.WEBHOOK_ALLOWED_NETWORKS = ["127.0.0.1/32"]
    assert asyncio.run(post(receiver.url, {}, b"{}")).status == 204


def test_a_name_that_nobody_knows_is_an_answer_too() -> None:
    answer = asyncio.run(post("http://nobody.invalid/", {}, b"{}"))
    assert answer.status is None
    assert answer.problem == "the host's name is not known"


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_cannot_be_registered(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    assert url_problem(f"https://{host}/x")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "x",
            "example.com",
            "ftp://example.com",
            "file:///etc/passwd",
            "gopher://example.com",
        ),
        "https://",
        "https:///x",
        "https://user:pw@example.com/",
        "https://example.com/#x",
        "https://localhost/",
        "https://a.localhost/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://[::1/",
        "https://exa mple.com/",
        "https://example.com/\r\nX: y",
        "https://exämple.com/",
        "https://example.com/" + "x" * 2_048,
    ],
)
def test_what_is_no_address_cannot_be_registered(url: str) -> None:
    assert url_problem(url)


def test_https_is_wanted_unless_the_operator_says_otherwise(settings: Settings) -> None:
    assert url_problem("http://example.com/") is None
    settings.WEBHOOK_PLAIN_HTTP = False
    assert url_problem("http://example.com/") == "must begin with https://"
    assert url_problem("https://example.com:8443/x?y=z") is None


@given(st.text(max_size=100))
def test_no_text_is_a_failure(text: str) -> None:
    url_problem(text)
    url_problem(f"https://{text}")
