"""Tests of the chain package use a real chain, without the layers above reacting to it."""

from collections.abc import Iterator

import pytest

from chain import signals


@pytest.fixture(autouse=True)
def nobody_listens() -> Iterator[None]:
    """Disconnect what sessions and mining do when the chain has news."""
    all_signals = (signals.events_stored, signals.operation_confirmed, signals.operation_failed)
    kept = [signal.receivers for signal in all_signals]
    for signal in all_signals:
        signal.receivers = []
    yield
    for signal, receivers in zip(all_signals, kept, strict=True):
        signal.receivers = receivers
