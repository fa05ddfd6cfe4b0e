"""The router's own Celery application: it carries validations, and decides nothing."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cortensor_site.settings")

app = Celery("cortensor")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
