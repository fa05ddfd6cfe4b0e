"""A new head is noticed at once if the node announces it, and soon if it does not."""

import logging
import threading
import time

import pytest

from chain.following import heads
from chain.following.heads import HeadWatch, websocket_url
from tests.anvil import Chain
from tests.free_ports import free_port


def test_the_address_is_the_same_over_websocket() -> None:
    assert websocket_url("http://node:8545") == "ws://node:8545"
    assert websocket_url("https://node/v3/key?x=1") == "wss://node/v3/key?x=1"
    assert websocket_url("wss://node/ws") == "wss://node/ws"


def test_a_subscription_tells_of_a_new_block(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "SAFETY_POLL_S", 20.0)
    watch = HeadWatch(chain.url)
    miner = threading.Timer(0.3, chain.mine)
    began = time.monotonic()
    miner.start()
    watch.wait()
    assert 0.2 < time.monotonic() - began < 10
    miner.join()
    chain.mine(3)
    watch.wait()
    monkeypatch.setattr(heads, "SAFETY_POLL_S", 0.2)
    waits = 0  # heads that came together are one word; a late one may be a word of its own
    while time.monotonic() - began < 30:
        asked = time.monotonic()
        watch.wait()
        waits += 1
        if time.monotonic() - asked >= 0.2:
            break
    assert waits <= 3
    watch.close()


def test_without_a_subscription_it_is_a_short_wait(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "chain.following.heads")
    watch = HeadWatch(f"http://127.0.0.1:{free_port()}/v3/SECRET")
    for _ in range(2):
        began = time.monotonic()
        watch.wait()
        assert heads.POLL_S <= time.monotonic() - began < heads.SAFETY_POLL_S
    watch.close()
    [line] = [record.message for record in caplog.records if record.name == "chain.following.heads"]
    assert line == (
        "127.0.0.1 offers no subscription to heads (ConnectionRefusedError); polling it instead"
    )
