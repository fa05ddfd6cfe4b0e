"""The router's Celery application. It carries validations and webhooks, and makes no decisions."""

import os
import threading
import time
from typing import Any

from celery import Celery
from celery.signals import heartbeat_sent, task_postrun, task_prerun, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cortensor_site.settings")

BEAT_EVERY_S = 2.0
BUSY_AT_MOST_S = 90.0
"""Longer than any task may take. A worker without progress for longer than this stops beating."""

app = Celery("cortensor")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


class Pulse:
    """Writes a worker's sign of life, from the moment when it takes tasks with its models loaded.

    It runs in a thread of its own, since a worker without a pool does nothing else while it judges.
    """

    def __init__(self) -> None:
        self._moved_at = time.monotonic()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to beat. The first beat comes at once."""
        self.move()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
            self._thread.start()

    def move(self) -> None:
        """Record that the worker has made progress."""
        self._moved_at = time.monotonic()

    def beats(self) -> bool:
        """Return whether the worker has made progress within `BUSY_AT_MOST_S`."""
        return time.monotonic() - self._moved_at < BUSY_AT_MOST_S

    def _run(self) -> None:
        from cortensor_site.web.health import beat

        while True:
            if self.beats():
                # Each worker has its own name among the router's processes.
                beat(os.environ.get("WORKER_NAME", "validate"))
            time.sleep(BEAT_EVERY_S)


_pulse = Pulse()


@worker_ready.connect
def _start(**_: Any) -> None:
    _pulse.start()


@heartbeat_sent.connect
@task_prerun.connect
@task_postrun.connect
def _move(**_: Any) -> None:
    _pulse.move()
