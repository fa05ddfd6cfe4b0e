"""The admin for operators. The mirrors of the chain are read-only."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from sessions.models import (
    ApiKey,
    ModelPrice,
    OnChainTask,
    Payment,
    Session,
    SessionLane,
    SessionNode,
    SessionRouter,
    Task,
    WebhookDelivery,
    WebhookEndpoint,
)


class ReadOnlyAdmin(admin.ModelAdmin):
    """An admin for rows that only the router writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = (
        "session_id",
        "name",
        "owner",
        "state",
        "mode",
        "redundancy",
        "model_identifier",
        "balance_wei",
        "reserved_wei",
        "paid_wei",
        "created_at",
    )
    list_filter = ("state", "mode", "redundancy", "model_identifier")
    search_fields = ("=session_id", "name", "owner", "sid")


@admin.register(SessionRouter)
class SessionRouterAdmin(ReadOnlyAdmin):
    list_display = ("session_id", "index", "address", "removed")
    list_filter = ("removed",)
    search_fields = ("=session_id", "address")


@admin.register(SessionNode)
class SessionNodeAdmin(ReadOnlyAdmin):
    list_display = ("address", "session_id", "assigned_at", "released")
    list_filter = ("released",)
    search_fields = ("=session_id", "address")


@admin.register(SessionLane)
class SessionLaneAdmin(ReadOnlyAdmin):
    list_display = ("sid", "index", "next_number")
    search_fields = ("sid",)


@admin.register(ModelPrice)
class ModelPriceAdmin(ReadOnlyAdmin):
    list_display = ("model_identifier", "input_price_wei", "output_price_wei")


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        "status",
        "origin",
        "outcome_code",
        "redundancy",
        "max_tokens",
        "reserve_wei",
        "created_at",
        "first_token_at",
        "ended_at",
    )
    list_filter = ("status", "origin", "outcome_code", "model_identifier", "created_at")
    search_fields = (
        "=session_id",
        "=task_id",
        "task_digest",
        "client_reference",
        "=idempotency_key",
        "request_id",
    )
    date_hierarchy = "created_at"
    list_select_related = ("api_key",)


@admin.register(OnChainTask)
class OnChainTaskAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        "status",
        "reserved_wei",
        "paid_wei",
        "refunded_wei",
        "created_at",
        "ended_at",
        "submit_tx",
    )
    list_filter = ("status", "created_at")
    search_fields = ("=session_id", "=task_id", "digest", "client_reference", "submit_tx", "end_tx")


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    """API keys. They are created elsewhere, where they are shown once. Here they are edited."""

    list_display = (
        "name",
        "prefix",
        "owner",
        "scopes",
        "session_id",
        "created_at",
        "expires_at",
        "last_used_at",
        "revoked_at",
    )
    list_filter = ("revoked_at", "expires_at", "created_at")
    search_fields = ("name", "prefix", "owner", "=session_id")
    fields = (
        "name",
        "prefix",
        "owner",
        "scopes",
        "session_id",
        "created_at",
        "expires_at",
        "last_used_at",
        "revoked_at",
        "daily_wei",
        "daily_tokens",
        "requests_per_minute",
        "tokens_per_minute",
        "max_open_tasks",
        "max_open_streams",
    )
    readonly_fields = (
        "prefix",
        "owner",
        "scopes",
        "session_id",
        "created_at",
        "last_used_at",
        "revoked_at",
    )
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description="Revoke the selected keys")
    def revoke(self, request: HttpRequest, queryset: Any) -> None:
        queryset.filter(revoked_at=None).update(revoked_at=timezone.now())


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ReadOnlyAdmin):
    """Webhook endpoints. The signing secret is not shown, because it is not stored."""

    list_display = ("owner", "session_id", "url", "created_at", "failing_since", "disabled_at")
    list_filter = ("disabled_at", "created_at")
    search_fields = ("owner", "=session_id", "url")


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "endpoint",
        "event",
        "status",
        "attempts",
        "created_at",
        "next_attempt_at",
        "delivered_at",
        "answer_status",
        "problem",
    )
    list_filter = ("status", "event", "created_at")
    list_select_related = ("endpoint",)
    search_fields = ("=id", "endpoint__owner", "endpoint__url")


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = (
        "payer",
        "amount_wei",
        "status",
        "task",
        "created_at",
        "settled_at",
        "transaction",
        "refund_transaction",
        "error",
    )
    list_filter = ("status",)
    list_select_related = ("task",)
    search_fields = ("payer", "nonce", "transaction", "refund_transaction")
