"""The router's own Celery application: it carries validations and webhooks, and decides nothing."""

import os
import threading
import time
from typing import Any

from celery import Celery
from celery.signals import heartbeat_sent, task_postrun, task_prerun, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cortensor_site.settings")

BEAT_EVERY_S = 2.0
BUSY_AT_MOST_S = 90.0
"""Longer than any task may take: a worker that has not moved for longer hangs, and falls silent."""

app = Celery("cortensor")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


class Pulse:
    """Tells that a worker is alive, from when it takes tasks: then its models are loaded.

    It has a thread of its own, since a worker without a pool does nothing else while it judges.
    """

    def __init__(self) -> None:
        self._moved_at = time.monotonic()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to beat, at once."""
        self.move()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
            self._thread.start()

    def move(self) -> None:
        """Note that the worker goes on."""
        self._moved_at = time.monotonic()

    def beats(self) -> bool:
        """Whether the worker has moved lately enough to be believed alive."""
        return time.monotonic() - self._moved_at < BUSY_AT_MOST_S

    def _run(self) -> None:
        from cortensor_site.web.health import beat

        while True:
            if self.beats():
                # Each of the workers has its own name among the router's processes.
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
