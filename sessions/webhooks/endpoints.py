"""An account's webhook endpoints: registration, enabling and repeated deliveries."""

from collections.abc import Sequence

from django.utils import timezone

from sessions.access.callers import Caller
from sessions.access.errors import LimitReached
from sessions.access.visibility import find_session
from sessions.errors import InvalidField
from sessions.models import DeliveryStatus, Scope, WebhookDelivery, WebhookEndpoint, WebhookEvent
from sessions.webhooks.addresses import url_problem

MAX_ENDPOINTS = 20
TRY_AGAIN_S = 60


def register(
    caller: Caller, url: str, session_id: int | None, events: Sequence[WebhookEvent]
) -> WebhookEndpoint:
    """Register a URL for the events of one session, or of all sessions that the caller owns.

    Raises:
        InvalidField: webhooks may not use this URL.
        SessionNotFound: the caller may not see the session.
        LimitReached: the account has as many endpoints as it may.
    """
    problem = url_problem(url)
    if problem is not None:
        raise InvalidField(f"the address {problem}", field="url")
    if session_id is not None:
        find_session(session_id, caller, Scope.MANAGE)
    if WebhookEndpoint.objects.filter(owner=caller.address).count() >= MAX_ENDPOINTS:
        raise LimitReached(
            f"an account may have {MAX_ENDPOINTS} webhooks",
            wait_s=TRY_AGAIN_S,
            remedy="delete one that is not used",
        )
    return WebhookEndpoint.objects.create(
        owner=caller.address,
        url=url,
        session_id=session_id,
        events=[event.value for event in events],
    )


def enable(endpoint: WebhookEndpoint) -> None:
    """Enable an endpoint again. It receives events from now on."""
    endpoint.disabled_at, endpoint.failing_since = None, None
    endpoint.save(update_fields=["disabled_at", "failing_since"])


def send_again(delivery: WebhookDelivery) -> None:
    """Make a message due now, with a full number of attempts. Its id stays the same."""
    delivery.status, delivery.attempts = DeliveryStatus.PENDING, 0
    delivery.next_attempt_at, delivery.woken_at = timezone.now(), None
    delivery.save(update_fields=["status", "attempts", "next_attempt_at", "woken_at"])
