"""The router's own Celery application: it carries validations and webhooks, and decides nothing."""

import os
from typing import Any

from celery import Celery
from celery.signals import heartbeat_sent, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cortensor_site.settings")

app = Celery("cortensor")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


# The heart beats in the worker's own loop: a worker that hangs falls silent.
@worker_ready.connect
@heartbeat_sent.connect
def _beat(**_: Any) -> None:
    from cortensor_site.health import beat

    # Each of the workers has its own name among the router's processes.
    beat(os.environ.get("WORKER_NAME", "validate"))
