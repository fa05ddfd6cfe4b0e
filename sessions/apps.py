"""The Django application of sessions; its label differs from `django.contrib.sessions`."""

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "sessions"
    label = "cortensor_sessions"
    verbose_name = "Cortensor sessions"

    def ready(self) -> None:
        """Register the projections, and listen to what the chain says."""
        from sessions import projections, reconciliation  # noqa: F401
