"""Limits how many jobs a node works on at once. Some jobs must run alone."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Busy(Exception):
    """No slot became free in time. `code` goes into reports."""

    code = "busy"


class Slots:
    """A node's slots. Threads may share it."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = count
        self._waiting_for_all = 0
        self._changed = threading.Condition()

    @contextmanager
    def one(self, wait_s: float) -> Iterator[None]:
        """Hold a slot. A thread that waits for all slots goes first.

        Raises:
            Busy: no slot became free within `wait_s` seconds.
        """
        self._take(1, wait_s, may=lambda: not self._waiting_for_all)
        try:
            yield
        finally:
            self._give_back(1)

    @contextmanager
    def all(self, wait_s: float) -> Iterator[None]:
        """Hold all slots, so that nothing else runs.

        Raises:
            Busy: the slots were not all free within `wait_s` seconds.
        """
        with self._changed:
            self._waiting_for_all += 1
        try:
            self._take(self.count, wait_s)
        finally:
            with self._changed:
                self._waiting_for_all -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            self._give_back(self.count)

    def _take(self, count: int, wait_s: float, *, may: Callable[[], bool] = lambda: True) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._free >= count and may(), wait_s):
                raise Busy(f"node: all {self.count} slots are taken; give the job to another node")
            self._free -= count

    def _give_back(self, count: int) -> None:
        with self._changed:
            self._free += count
            self._changed.notify_all()
