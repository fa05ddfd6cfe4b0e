"""When to look at which task next. In memory: a process that starts looks at all of them."""

import heapq
from collections.abc import Collection
from datetime import datetime


class Agenda:
    """The known tasks, by their keys, each with the time of the next look at it.

    All costs are flat in the number of tasks, or logarithmic.
    """

    def __init__(self) -> None:
        self._at: dict[int, datetime] = {}
        self._queue: list[tuple[datetime, int]] = []
        """A heap. An entry that differs from `_at` was overtaken, and is passed over."""

    def __len__(self) -> int:
        return len(self._at)

    def __contains__(self, key: int) -> bool:
        return key in self._at

    def plan(self, key: int, at: datetime) -> None:
        """Look at a task then, and not at the time that was planned before."""
        if self._at.get(key) != at:
            self._at[key] = at
            heapq.heappush(self._queue, (at, key))
            if len(self._queue) > 2 * len(self._at) + 64:
                self._queue = [(at, key) for key, at in self._at.items()]
                heapq.heapify(self._queue)

    def plan_all(self, at: datetime) -> None:
        """Look at every known task then."""
        self._at = dict.fromkeys(self._at, at)
        self._queue = [(at, key) for key in self._at]
        heapq.heapify(self._queue)

    def drop(self, keys: Collection[int]) -> None:
        """Forget tasks that are over."""
        for key in keys:
            self._at.pop(key, None)

    def due(self, now: datetime, most: int) -> list[int]:
        """The tasks to look at now, the longest due first. Each has to be planned or dropped."""
        keys: dict[int, None] = {}
        while self._queue and self._queue[0][0] <= now and len(keys) < most:
            at, key = heapq.heappop(self._queue)
            if self._at.get(key) == at:
                keys[key] = None
        return list(keys)

    @property
    def next_at(self) -> datetime | None:
        """When the next look is due."""
        while self._queue and self._at.get(self._queue[0][1]) != self._queue[0][0]:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None
