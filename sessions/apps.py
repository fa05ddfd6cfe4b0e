"""The Django application of sessions. Its label avoids a clash with `django.contrib.sessions`."""

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "sessions"
    label = "cortensor_sessions"
    verbose_name = "Cortensor sessions"

    def ready(self) -> None:
        """Register the projections and the API's description."""
        from sessions.faces.rest.schema import views  # noqa: F401
        from sessions.mirror import projections  # noqa: F401
