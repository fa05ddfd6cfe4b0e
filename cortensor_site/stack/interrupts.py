"""Handling of the signals that stop the network, with blocks that they do not interrupt."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals of Ctrl-C, of a service manager, and of a closed terminal."""


def raise_once() -> None:
    """Let the first of these signals raise KeyboardInterrupt, and ignore all later ones.

    The network is stopping after the first signal. A second Ctrl-C must not interrupt that and
    leave processes behind.
    """

    def end(number: int, frame: FrameType | None) -> None:
        for each in ENDING:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in ENDING:
        signal.signal(number, end)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay these signals until the block is over. They then have their usual effect."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)

    before: dict[signal.Signals, Any] = {}
    with _blocked():
        for number in ENDING:
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, note)
    try:
        yield
    finally:
        with _blocked():
            for number, handler in before.items():
                signal.signal(number, handler)
        if caught:
            # Raise the first signal again, for the handler that was installed before.
            signal.raise_signal(signal.Signals(caught[0]))


@contextmanager
def _blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
