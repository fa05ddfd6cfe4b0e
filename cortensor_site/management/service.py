"""What every long-running command shares: stop on a signal, tell that it is alive."""

import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from django.core.management.base import BaseCommand
from django.utils.module_loading import import_string

from cortensor_site.health import beat

Loop = Callable[[threading.Event, Callable[[], None]], None]


class ServiceCommand(BaseCommand):
    """Runs one loop until SIGTERM or SIGINT; the loop finishes the step it is in."""

    loop: ClassVar[str]
    """Dotted path of `run(stop, beat)`, imported only when the command runs."""

    def handle(self, *args: Any, **options: Any) -> None:
        name = self.__module__.rpartition(".")[2]
        run: Loop = import_string(self.loop)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        beat(name)
        self.stdout.write(f"{name}: running")
        run(stop, partial(beat, name))
        self.stdout.write(f"{name}: stopped")
