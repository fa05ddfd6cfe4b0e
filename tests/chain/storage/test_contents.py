"""Content is read back unchanged, or not at all."""

import hashlib
import itertools
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chain import storage

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.STORAGE_DIR = tmp_path / "blocks"
    return tmp_path / "blocks"


@pytest.mark.parametrize(
    ("content", "cid"),
    [  # as IPFS implementations have them
        (b"", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
        (b"hello world", "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"),
    ],
)
def test_addresses_are_those_of_ipfs(content: bytes, cid: str) -> None:
    assert storage.put(content) == cid
    assert storage.get(cid) == content
    assert storage.address(cid) == f"ipfs://{cid}"


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.binary(max_size=2000))
def test_what_is_put_can_be_had(content: bytes) -> None:
    cid = storage.put(content)
    assert storage.put(content) == cid
    assert storage.get(cid) == content


def test_a_stored_block_that_has_changed_is_refused(folder: Path) -> None:
    cid = storage.put(b"right")
    [block] = [path for path in folder.rglob("*") if path.is_file()]
    block.write_bytes(b"wrong")
    with pytest.raises(storage.BlockCorrupt, match=cid):
        storage.get(cid)


def test_nothing_but_whole_blocks_is_left_in_the_store(folder: Path) -> None:
    for number in range(20):
        storage.put(str(number).encode())
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 20
    assert {hashlib.sha256(file.read_bytes()).digest() for file in files} == {
        hashlib.sha256(str(number).encode()).digest() for number in range(20)
    }


def test_what_was_never_put_is_missing() -> None:
    with pytest.raises(storage.BlockMissing):
        storage.get("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")


@pytest.mark.parametrize(
    "cid",
    [
        "",
        "../../secret_key",
        "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
        "bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",  # DAG-CBOR
        "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvykv",  # spare bits that are set
    ],
)
def test_a_text_that_is_no_address_names_no_file(cid: str) -> None:
    with pytest.raises(storage.InvalidAddress, match="cid"):
        storage.get(cid)


def test_a_content_of_many_blocks_comes_back_whole() -> None:
    content = random.Random(1).randbytes(3 * MIB + 5)
    cid = storage.put(content)
    assert cid.startswith("bafybei")
    assert storage.get(cid) == content


def test_a_content_may_come_and_go_in_pieces() -> None:
    pieces = [bytes([number]) * 300_000 for number in range(10)]
    cid = storage.put_stream(iter(pieces))
    assert cid == storage.put(b"".join(pieces))
    assert b"".join(storage.stream(cid)) == b"".join(pieces)


def test_one_changed_leaf_among_many_is_refused_before_it_is_handed_on(folder: Path) -> None:
    content = random.Random(2).randbytes(3 * MIB)
    cid = storage.put(content)
    third = hashlib.sha256(content[2 * MIB :]).digest()
    [leaf] = [
        path
        for path in folder.rglob("*")
        if path.is_file() and hashlib.sha256(path.read_bytes()).digest() == third
    ]
    leaf.write_bytes(bytes(MIB))
    pieces = storage.stream(cid)
    before = b"".join(itertools.islice(pieces, 3))  # the root's own, which is empty, and two leaves
    assert before == content[: 2 * MIB]
    with pytest.raises(storage.BlockCorrupt):
        next(pieces)


def test_more_than_the_reader_takes_is_refused_before_its_leaves_are_read(folder: Path) -> None:
    cid = storage.put(bytes(2 * MIB))
    for path in folder.rglob(f"*{storage.put(bytes(MIB))}"):
        path.unlink()
    with pytest.raises(storage.ContentTooLarge, match="2097152 bytes"):
        storage.get(cid, max_bytes=2 * MIB - 1)
    with pytest.raises(storage.BlockMissing):
        storage.get(cid, max_bytes=2 * MIB)


def test_more_than_anybody_stores_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage.contents, "MAX_CONTENT_BYTES", MIB)
    with pytest.raises(storage.ContentTooLarge, match="1048576"):
        storage.put(bytes(MIB + 1))
    assert storage.get(storage.put(bytes(MIB))) == bytes(MIB)


def test_memory_does_not_grow_with_the_content() -> None:
    def pieces() -> Iterator[bytes]:
        for number in range(50):
            yield number.to_bytes(2, "big") * (MIB // 2)

    tracemalloc.start()
    try:
        cid = storage.put_stream(pieces())
        size = sum(len(piece) for piece in storage.stream(cid))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == 50 * MIB
    assert peak < 8 * MIB
