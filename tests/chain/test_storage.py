"""Content comes back as it was put in, or not at all."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chain import storage


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
    "cid", ["", "../../secret_key", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"]
)
def test_a_text_that_is_no_address_names_no_file(cid: str) -> None:
    with pytest.raises(storage.InvalidAddress, match="cid"):
        storage.get(cid)


def test_what_does_not_fit_in_a_block_is_refused() -> None:
    with pytest.raises(storage.BlockTooLarge):
        storage.put(bytes(storage.MAX_BLOCK_BYTES + 1))
