"""Contents in a Kubo node. A small server that speaks Kubo's RPC API stands in for it."""

import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chain import storage
from tests.chain.kubo_node import KuboNode, running_node

MIB = 1024 * 1024
HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


@pytest.fixture
def node(settings: Any, tmp_path: Path) -> Iterator[KuboNode]:
    with running_node() as node:
        settings.IPFS_API_URL = node.url
        settings.IPFS_TIMEOUT_S = 5.0
        settings.STORAGE_DIR = tmp_path / "unused"
        yield node
    assert not (tmp_path / "unused").exists()


def test_a_small_content_is_one_pinned_block(node: KuboNode) -> None:
    assert storage.put(b"hello world") == HELLO
    assert node.blocks == {HELLO: b"hello world"}
    assert node.pins == [HELLO]
    assert storage.get(HELLO) == b"hello world"


def test_a_large_content_is_a_tree_whose_root_is_pinned(node: KuboNode) -> None:
    content = random.Random(3).randbytes(3 * MIB + 1)
    cid = storage.put(content)
    assert len(node.blocks) == 5
    assert node.pins == [cid]
    assert storage.get(cid) == content


def test_the_node_and_the_folder_agree_on_addresses(node: KuboNode, settings: Any) -> None:
    content = random.Random(5).randbytes(2 * MIB + 77)
    in_node = storage.put(content)
    settings.IPFS_API_URL = ""
    settings.STORAGE_DIR = settings.STORAGE_DIR.with_name("folder")
    assert storage.put(content) == in_node


def test_a_content_has_a_time_limit_however_many_blocks_it_has(node: KuboNode) -> None:
    content = random.Random(7).randbytes(6 * MIB)
    cid = storage.put(content)
    asked: list[str] = []

    def dawdle(handler: Any, name: str) -> bool:
        asked.append(name)
        time.sleep(0.1)  # each block comes in time
        return False

    node.fault = dawdle
    with pytest.raises(storage.ContentTooSlow, match=r"not read within 0\.25 s"):
        storage.get(cid, within_s=0.25)
    assert len(asked) <= 4 < len(node.blocks)
    assert storage.get(cid) == content


def test_an_answer_that_drips_is_given_up(node: KuboNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chain.storage.kubo.MARGIN_S", 0.1)

    given_up = threading.Event()

    def drip(handler: Any, name: str) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        while not given_up.wait(0.05):  # never long without a byte
            handler.wfile.write(b".")
            handler.wfile.flush()
        return True

    node.fault = drip
    with pytest.raises((storage.StorageUnavailable, storage.ContentTooSlow)):
        storage.get(HELLO, within_s=0.3)
    given_up.set()


def test_what_the_node_does_not_have_is_missing(node: KuboNode) -> None:
    with pytest.raises(storage.BlockMissing, match=HELLO):
        storage.get(HELLO)


def test_what_the_network_does_not_have_in_time_is_missing(node: KuboNode) -> None:
    def search(handler: Any, name: str) -> bool:
        handler.fail("context deadline exceeded")
        return True

    node.fault = search
    with pytest.raises(storage.BlockMissing, match="within 5 s"):
        storage.get(HELLO)


def test_another_block_than_was_asked_for_is_refused(node: KuboNode) -> None:
    storage.put(b"hello world")
    node.blocks[HELLO] = b"hello w0rld"
    with pytest.raises(storage.BlockCorrupt, match=HELLO):
        storage.get(HELLO)


def test_half_a_block_is_refused(node: KuboNode) -> None:
    def cut(handler: Any, name: str) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", "11")
        handler.end_headers()
        handler.wfile.write(b"hello")
        handler.close_connection = True
        return True

    storage.put(b"hello world")
    node.fault = cut
    with pytest.raises(storage.StorageUnavailable, match="block/get"):
        storage.get(HELLO)


def test_a_block_without_end_is_not_read_to_its_end(node: KuboNode) -> None:
    def flood(handler: Any, name: str) -> bool:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        try:
            for _ in range(10_000):
                handler.wfile.write(bytes(MIB))
        except OSError:
            return True  # nobody listens any more
        raise AssertionError("10 GB were read")

    node.fault = flood
    with pytest.raises(storage.BlockTooLarge, match=HELLO):
        storage.get(HELLO)


def test_a_block_that_is_stored_under_another_name_is_noticed(node: KuboNode) -> None:
    def rename(handler: Any, name: str) -> bool:
        handler.answer(200, b'{"Key": "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG", "Size": 1}')
        return True

    node.fault = rename
    with pytest.raises(storage.BlockCorrupt, match="Qm"):
        storage.put(b"hello world")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>"])
def test_an_answer_that_makes_no_sense_is_named(node: KuboNode, body: bytes) -> None:
    def babble(handler: Any, name: str) -> bool:
        handler.answer(200, body)
        return True

    node.fault = babble
    with pytest.raises(storage.StorageRefused, match=r"IPFS_API_URL.*block/put"):
        storage.put(b"hello world")


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (500, "blockstore: disk is full", storage.StorageRefused),
        (404, "page", storage.StorageRefused),
        (503, "starting", storage.StorageUnavailable),
        (500, "context deadline exceeded", storage.StorageUnavailable),
    ],
)
def test_a_node_that_cannot_store_says_why(
    node: KuboNode, status: int, message: str, error: type[Exception]
) -> None:
    def refuse(handler: Any, name: str) -> bool:
        handler.fail(message, status)
        return True

    node.fault = refuse
    with pytest.raises(error, match=message):
        storage.put(b"hello world")


def test_a_content_whose_pin_fails_is_not_stored(node: KuboNode) -> None:
    def no_pins(handler: Any, name: str) -> bool:
        if name == "pin/add":
            handler.fail("pin: merkledag: disk error")
        return name == "pin/add"

    node.fault = no_pins
    with pytest.raises(storage.StorageRefused, match="pin/add"):
        storage.put(b"hello world")


def test_a_node_that_hangs_is_given_up(node: KuboNode, settings: Any) -> None:
    given_up = threading.Event()

    def hang(handler: Any, name: str) -> bool:
        return given_up.wait()

    settings.IPFS_TIMEOUT_S = 0.1
    node.fault = hang
    with pytest.raises(storage.StorageUnavailable, match="IPFS_TIMEOUT_S"):
        storage.get(HELLO)
    given_up.set()


def test_a_node_that_is_not_there_is_named_and_worth_another_try(settings: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        settings.IPFS_API_URL = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match="IPFS_API_URL") as caught:
            storage.put(b"hello world")
    assert isinstance(caught.value, storage.StorageUnavailable)


def test_the_password_in_the_url_opens_the_node(node: KuboNode, settings: Any) -> None:
    node.password = "secret"
    with pytest.raises(storage.StorageRefused, match="403") as caught:
        storage.put(b"hello world")
    settings.IPFS_API_URL = node.url.replace("://", "://router:secret@")
    assert storage.get(storage.put(b"hello world")) == b"hello world"
    assert "secret" not in str(caught.value)
