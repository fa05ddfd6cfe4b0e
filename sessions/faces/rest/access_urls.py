"""The URL patterns below `/api/v1` for access: sign-in, API keys and webhooks."""

from django.urls import path

from sessions.faces.rest.views.auth import NonceView, SignedInView, SignInView, SignOutView
from sessions.faces.rest.views.keys import KeysView, KeyView
from sessions.faces.rest.views.webhooks import (
    DeliveriesView,
    DeliveryAgainView,
    WebhookEnableView,
    WebhooksView,
    WebhookView,
)

urlpatterns = [
    path("auth/nonce", NonceView.as_view()),
    path("auth/sign-in", SignInView.as_view()),
    path("auth/session", SignedInView.as_view()),
    path("auth/sign-out", SignOutView.as_view()),
    path("keys", KeysView.as_view()),
    path("keys/<number:key_id>", KeyView.as_view()),
    path("webhooks", WebhooksView.as_view()),
    path("webhooks/<number:webhook_id>", WebhookView.as_view()),
    path("webhooks/<number:webhook_id>/enable", WebhookEnableView.as_view()),
    path("webhooks/<number:webhook_id>/deliveries", DeliveriesView.as_view()),
    path(
        "webhooks/<number:webhook_id>/deliveries/<uuid:delivery_id>/again",
        DeliveryAgainView.as_view(),
    ),
]
