"""`/webhooks`: an account's webhook endpoints, and the messages to them."""

from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from sessions.errors import RequestError
from sessions.faces.common.authentication import ScopeNeeded, caller_of
from sessions.faces.common.fields import Text, session_number
from sessions.faces.rest.parsing import given
from sessions.models import Scope, WebhookDelivery, WebhookEndpoint, WebhookEvent
from sessions.webhooks import endpoints
from sessions.webhooks.addresses import MAX_URL_CHARACTERS

DELIVERIES_SHOWN = 100


class WebhookNotFound(RequestError):
    """The account has no such webhook or message."""

    code, title, status = "webhook_not_found", "No such webhook", 404


class WebhookSerializer(serializers.Serializer):
    """The members of a new webhook."""

    url = Text(max_length=MAX_URL_CHARACTERS)
    session_id = session_number(required=False)
    events = serializers.ListField(
        child=serializers.ChoiceField(WebhookEvent.choices),
        min_length=1,
        max_length=2,
        required=False,
    )


class _WebhookView(APIView):
    permission_classes = (ScopeNeeded,)
    scope = Scope.MANAGE

    def endpoint(self, request: Request, webhook_id: int) -> WebhookEndpoint:
        owner = caller_of(request).address
        endpoint = WebhookEndpoint.objects.filter(owner=owner, pk=webhook_id).first()
        if endpoint is None:
            raise WebhookNotFound(f"your account has no webhook {webhook_id}")
        return endpoint


class WebhooksView(_WebhookView):
    """`GET /webhooks`: the account's webhooks. `POST /webhooks`: create one; shows its secret."""

    def get(self, request: Request) -> Response:
        rows = WebhookEndpoint.objects.filter(owner=caller_of(request).address).order_by("id")
        return Response({"webhooks": [_shown(row) for row in rows]})

    def post(self, request: Request) -> Response:
        asked = WebhookSerializer(data=given(request))
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        events = [WebhookEvent(name) for name in values.get("events", WebhookEvent.values)]
        endpoint = endpoints.register(
            caller_of(request), values["url"], values.get("session_id"), list(dict.fromkeys(events))
        )
        answer = Response(_shown(endpoint) | {"secret": endpoint.secret}, status=201)
        answer["Cache-Control"] = "no-store"
        return answer


class WebhookView(_WebhookView):
    """`GET /webhooks/{id}`: one webhook. `DELETE /webhooks/{id}`: delete it and its messages."""

    def get(self, request: Request, webhook_id: int) -> Response:
        return Response(_shown(self.endpoint(request, webhook_id)))

    def delete(self, request: Request, webhook_id: int) -> Response:
        self.endpoint(request, webhook_id).delete()
        return Response(status=204)


class WebhookEnableView(_WebhookView):
    """`POST /webhooks/{id}/enable`: enable a webhook that was disabled for failing."""

    def post(self, request: Request, webhook_id: int) -> Response:
        endpoint = self.endpoint(request, webhook_id)
        endpoints.enable(endpoint)
        return Response(_shown(endpoint))


class DeliveriesView(_WebhookView):
    """`GET /webhooks/{id}/deliveries`: the latest messages, newest first."""

    def get(self, request: Request, webhook_id: int) -> Response:
        rows = self.endpoint(request, webhook_id).deliveries.select_related("task")
        return Response({"deliveries": [_delivery(row) for row in rows[:DELIVERIES_SHOWN]]})


class DeliveryAgainView(_WebhookView):
    """`POST /webhooks/{id}/deliveries/{messageId}/again`: send a message again."""

    def post(self, request: Request, webhook_id: int, delivery_id: UUID) -> Response:
        delivery = self.endpoint(request, webhook_id).deliveries.filter(pk=delivery_id).first()
        if delivery is None:
            raise WebhookNotFound(f"webhook {webhook_id} has no message {delivery_id}")
        endpoints.send_again(delivery)
        return Response(_delivery(delivery), status=202)


def _shown(row: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": row.pk,
        "url": row.url,
        "session_id": row.session_id,
        "events": row.events,
        "created_at": row.created_at,
        "failing_since": row.failing_since,
        "disabled_at": row.disabled_at,
    }


def _delivery(row: WebhookDelivery) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "message_id": row.message_id,
        "event": row.event,
        "session_id": row.task.session_id,
        "task_id": row.task.task_id,
        "status": row.status,
        "attempts": row.attempts,
        "created_at": row.created_at,
        "next_attempt_at": row.next_attempt_at if row.status == "pending" else None,
        "delivered_at": row.delivered_at,
        "answer_status": row.answer_status,
        "problem": row.problem or None,
    }
