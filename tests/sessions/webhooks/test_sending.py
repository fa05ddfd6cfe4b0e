"""HTTPS to a checked address still verifies the host's name."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest

from sessions.webhooks.sending import post
from tests.serving import Receiver, receive

CERTIFICATE = Path(__file__).resolve().parents[2] / "hook_test_certificate.pem"
"""Of `hook.test`, signed by itself, with its key: a secret to nobody."""


@pytest.fixture
def secured() -> Iterator[Receiver]:
    with receive(CERTIFICATE) as running:
        yield running


@pytest.fixture
def names_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name is this machine's."""

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate's own signature counts, as an authority's would."""
    monkeypatch.setattr(certifi, "where", lambda: str(CERTIFICATE))


@pytest.mark.usefixtures("names_of_this_machine", "trusted")
def test_a_host_that_proves_its_name_gets_the_message(secured: Receiver) -> None:
    url = secured.url.replace("127.0.0.1", "hook.test")
    answer = asyncio.run(post(url, {"webhook-id": "msg_1"}, b"{}"))
    assert answer.status == 204
    [request] = secured.requests
    assert request.headers["host"].startswith("hook.test:")
    assert request.headers["webhook-id"] == "msg_1"


@pytest.mark.usefixtures("names_of_this_machine", "trusted")
def test_a_host_with_the_certificate_of_another_gets_nothing(secured: Receiver) -> None:
    answer = asyncio.run(post(secured.url.replace("127.0.0.1", "other.test"), {}, b"{}"))
    assert answer.status is None
    assert secured.requests == []


@pytest.mark.usefixtures("names_of_this_machine")
def test_a_certificate_that_no_authority_has_signed_is_not_trusted(secured: Receiver) -> None:
    answer = asyncio.run(post(secured.url.replace("127.0.0.1", "hook.test"), {}, b"{}"))
    assert answer.status is None
    assert secured.requests == []
