"""The Django application of sessions; its label differs from `django.contrib.sessions`."""

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "sessions"
    label = "cortensor_sessions"
    verbose_name = "Cortensor sessions"
