"""A receiver on this machine, which the tests' router may speak to."""

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from sessions.models import Session, WebhookEndpoint
from tests.serving import Receiver, receive
from tests.sessions.factories import OWNER, make_session


@pytest.fixture(autouse=True)
def this_machine_allowed(settings: Settings) -> None:
    """Only tests of addresses take it back."""
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
