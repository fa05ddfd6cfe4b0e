"""CIDs equal those of another implementation: the JavaScript importer of UnixFS."""

import json
import math
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chain.storage.blocks import LocalBlocks
from chain.storage.cids import Cid
from chain.storage.reader import read
from chain.storage.writer import UNIXFS_V1_2025, Profile, write

SCRIPT = Path(__file__).parent / "unixfs_cids.mjs"
MIB = 1024 * 1024
FIFTY_MB = 50_000_000


class Nowhere:
    """A store that stores nothing, for tests of CIDs."""

    def put(self, cid: Cid, block: bytes) -> None:
        assert cid.matches(block)

    def get(self, cid: Cid, within_s: float = math.inf) -> bytes:
        raise NotImplementedError

    def keep(self, root: Cid) -> None:
        pass


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 50 MB without repetitions, which cannot be compressed."""
    path = tmp_path_factory.mktemp("content") / "random"
    path.write_bytes(random.Random(4).randbytes(FIFTY_MB))
    return path


def theirs(cases: list[dict[str, Any]]) -> list[str]:
    """Return the CIDs of the JavaScript importer."""
    done = subprocess.run(
        ["node", str(SCRIPT)],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: list[str] = json.loads(done.stdout)
    return answer


def ours(path: Path, size: int, profile: Profile = UNIXFS_V1_2025) -> str:
    return str(write(Nowhere(), pieces(path, size), profile))


def pieces(path: Path, size: int) -> Iterator[bytes]:
    """Yield the first bytes of a file in pieces whose sizes differ from the chunks'."""
    with path.open("rb") as file:
        while size > 0 and (piece := file.read(min(size, 700_001))):
            size -= len(piece)
            yield piece


def test_the_profile_gives_the_cids_of_the_javascript_importer(content: Path) -> None:
    sizes = [0, 1, 1000, MIB - 1, MIB, MIB + 1, 2 * MIB, 7 * MIB + 13, FIFTY_MB]
    cases = [{"path": str(content), "size": n, "profile": "unixfs-v1-2025"} for n in sizes]
    assert [ours(content, size) for size in sizes] == theirs(cases)


@pytest.mark.parametrize(
    "profile",
    [
        UNIXFS_V1_2025,
        Profile(64, 1024),  # as many links as the profile has, in a size that can be tested
        Profile(262_144, 174),  # what `ipfs add --cid-version=1` does without a profile
    ],
    ids=["1 MiB × 1024", "64 B × 1024", "256 KiB × 174"],
)
def test_a_node_that_is_full_and_one_leaf_more(content: Path, profile: Profile) -> None:
    full = profile.chunk_bytes * profile.links
    edges = (full - 1, full, full + 1, full + profile.chunk_bytes, FIFTY_MB)
    sizes = [size for size in edges if size <= FIFTY_MB and (size < FIFTY_MB or full > MIB)]
    shape = {"chunk": profile.chunk_bytes, "links": profile.links}
    cases = [{"path": str(content), "size": n} | shape for n in sizes]
    assert [ours(content, size, profile) for size in sizes] == theirs(cases)


def test_trees_of_every_depth_have_the_same_shape(content: Path) -> None:
    profile = Profile(5, 3)
    sizes = [*range(140), *(5 * 3**n + extra for n in range(2, 6) for extra in (-1, 0, 1, 5, 6))]
    cases = [{"path": str(content), "size": n, "chunk": 5, "links": 3} for n in sizes]
    assert [ours(content, size, profile) for size in sizes] == theirs(cases)


def test_fifty_megabytes_come_back_from_the_store(content: Path, tmp_path: Path) -> None:
    blocks = LocalBlocks(tmp_path)
    root = write(blocks, pieces(content, FIFTY_MB))
    with content.open("rb") as file:
        for piece in read(blocks, root, FIFTY_MB):
            assert piece == file.read(len(piece))
        assert file.read() == b""
