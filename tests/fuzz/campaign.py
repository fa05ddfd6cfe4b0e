"""Runs many cases in child processes, one after the other, and counts their results."""

import json
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self

KINDS = {
    "grammar": 8,
    "schema": 8,
    "template": 3,
    "job": 4,
    "tokens": 2,
    "text": 2,
    "file": 1,
    "json": 1,
}
"""The number of cases of each kind in a round."""
HANG_S = 60.0
START_S = 120.0


class Campaign:
    """Counts the results of cases. A child that dies or hangs is counted and replaced."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.died: list[str] = []
        self.hung: list[str] = []
        self.unnamed: list[str] = []
        self._slowest: dict[str, float] = {}
        self._child: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def run_for(self, seconds: float, seed: int) -> None:
        """Run rounds of all kinds until the time is over."""
        ends_at, number = time.monotonic() + seconds, seed * 1_000_000
        while time.monotonic() < ends_at:
            for kind, count in KINDS.items():
                for _ in range(count):
                    if time.monotonic() >= ends_at:
                        return
                    self.run(kind, number)
                    number += 1

    def run(self, kind: str, number: int) -> str:
        """Run a case and return its result."""
        child = self._running()
        name = f"{kind}:{number}"
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps([kind, number]) + "\n")
            child.stdin.flush()
            code, took_s = self._answer(HANG_S)
            self._slowest[kind] = max(self._slowest.get(kind, 0.0), took_s)
        except TimeoutError:
            code = "hung"
            self.hung.append(name)
            self._stop()
        except (BrokenPipeError, EOFError):
            code = f"died ({child.wait()})"
            self.died.append(name)
            self._child = None
        if code.startswith("unnamed"):
            self.unnamed.append(f"{name}: {code}")
        self.outcomes[kind, code.partition(":")[0]] += 1
        return code

    def table(self) -> str:
        """Return the counts of results by kind, and then the results that must not occur."""
        lines = [f"{'kind':<10}{'outcome':<26}{'cases':>8}   slowest of the kind"]
        for (kind, code), count in sorted(self.outcomes.items()):
            lines.append(f"{kind:<10}{code:<26}{count:>8}   {self._slowest.get(kind, 0):.2f} s")
        total = sum(self.outcomes.values())
        lines.append(
            f"{total} cases: {len(self.died)} dead processes, {len(self.hung)} hangs,"
            f" {len(self.unnamed)} errors without a name"
        )
        return "\n".join([*lines, *self.died, *self.hung, *self.unnamed])

    def _running(self) -> "subprocess.Popen[str]":
        if self._child is None or self._child.poll() is not None:
            self._lines = queue.Queue()
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            reading = threading.Thread(target=_read, args=(self._child, self._lines), daemon=True)
            reading.start()
            self._answer(START_S)
        return self._child

    def _answer(self, within_s: float) -> Any:
        try:
            line = self._lines.get(timeout=within_s)
        except queue.Empty:
            raise TimeoutError from None
        if not line:
            raise EOFError
        return json.loads(line)

    def _stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None


def _read(child: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
    assert child.stdout is not None
    for line in child.stdout:
        lines.put(line)
    lines.put("")
