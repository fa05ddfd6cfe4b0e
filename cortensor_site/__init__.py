"""The Django project: settings, URLs, ASGI, Celery application, commands and the dashboard."""

from cortensor_site.celery import app as celery_app

__all__ = ["celery_app"]
