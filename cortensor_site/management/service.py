"""The base of all long-running commands: it handles signals and writes signs of life."""

import gc
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from django.core.management.base import BaseCommand
from django.db import connection

from cortensor_site.web.health import beat

Beat = Callable[[], None]


class ServiceCommand(BaseCommand):
    """Runs a loop until SIGTERM or SIGINT. The loop finishes its current step first."""

    loop: ClassVar["staticmethod[[threading.Event, Beat], None]"]
    """`run(stop, beat)`: works until `stop` is set, and calls `beat` every few seconds."""
    waits_for_disk: ClassVar[bool] = True
    """Whether commits wait for the disk.

    False is safe for a process whose last commits may be lost in a crash of the database server,
    because it finds the lost work and does it again.
    """

    def handle(self, *args: Any, **options: Any) -> None:
        name = self.__module__.rpartition(".")[2]
        if not self.waits_for_disk:
            options = connection.settings_dict["OPTIONS"]
            set_already = options.get("options", "")
            options["options"] = f"{set_already} -c synchronous_commit=off".strip()
        # Exclude loaded objects from garbage collection, which would delay tasks by 0.1 s.
        gc.freeze()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        beat(name)
        self.stdout.write(f"{name}: running")
        type(self).loop(stop, partial(beat, name))
        self.stdout.write(f"{name}: stopped")
