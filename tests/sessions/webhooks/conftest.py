"""Fixtures: a receiver of webhooks on this machine, which the router may connect to."""

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from sessions.models import Session, WebhookEndpoint
from tests.serving import Receiver, receive
from tests.sessions.factories import OWNER, make_session


@pytest.fixture(autouse=True)
def this_machine_allowed(settings: Settings) -> None:
    """Allow webhooks to this machine. Tests of addresses disallow them again."""
    settings.WEBHOOK_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    settings.WEBHOOK_PLAIN_HTTP = True


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receive() as running:
        yield running


@pytest.fixture
def endpoint(receiver: Receiver) -> WebhookEndpoint:
    """OWNER's endpoint for all of its sessions."""
    return WebhookEndpoint.objects.create(owner=OWNER, url=receiver.url)


@pytest.fixture
def session() -> Session:
    return make_session()
