"""What every long-running command shares: stop on a signal, tell that it is alive."""

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
    """Runs one loop until SIGTERM or SIGINT; the loop finishes the step it is in."""

    loop: ClassVar["staticmethod[[threading.Event, Beat], None]"]
    """`run(stop, beat)`: does its work until `stop` is set, and beats while it is alive."""
    waits_for_disk: ClassVar[bool] = True
    """False where nothing is said to anyone that a crash of the database server could not take
    back: what it loses of the last moment is found and done again. Then a commit does not wait."""

    def handle(self, *args: Any, **options: Any) -> None:
        name = self.__module__.rpartition(".")[2]
        if not self.waits_for_disk:
            options = connection.settings_dict["OPTIONS"]
            set_already = options.get("options", "")
            options["options"] = f"{set_already} -c synchronous_commit=off".strip()
        # What is loaded now stays: looking through all of it stops a client's task for 0.1 s.
        gc.freeze()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        beat(name)
        self.stdout.write(f"{name}: running")
        type(self).loop(stop, partial(beat, name))
        self.stdout.write(f"{name}: stopped")
