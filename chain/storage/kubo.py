"""Blocks in a Kubo node, over its RPC API: `block/put`, `block/get`, `pin/add`.

The node is not trusted: the CID that it returns must equal the computed one, and `fetch` verifies
each block that it gives. The API gives its caller full control of the node, so it must not be
reachable from outside.
"""

import math
import time
from functools import cache
from typing import NoReturn

import httpx

from chain.storage.blocks import MAX_BLOCK_BYTES
from chain.storage.cids import CODEC_NAMES, Cid
from chain.storage.errors import (
    BlockCorrupt,
    BlockMissing,
    BlockTooLarge,
    StorageRefused,
    StorageUnavailable,
)

MARGIN_S = 2.0
"""The time that the client waits beyond the node's own time limit."""
_MAX_ERROR_BYTES = 4096
_NOT_FOUND = ("not found", "could not find")
_TOO_LATE = ("deadline exceeded", "timed out", "timeout")


@cache
def kubo(api_url: str, timeout_s: float) -> "KuboBlocks":
    """Return the store at a URL. Each process has one connection pool per URL."""
    return KuboBlocks(api_url, timeout_s)


class KuboBlocks:
    """A block store in a Kubo node.

    Args:
        api_url: URL of the RPC API without a path, `http://user:password@host:5001` if the API
            requires a password.
        timeout_s: time limit in seconds for one block. Within it, the node searches the network
            for blocks that it does not have itself.
    """

    def __init__(self, api_url: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._client = httpx.Client(
            base_url=api_url.rstrip("/") + "/api/v0/",
            # Ignore this machine's proxy settings, which are for requests to the outside.
            trust_env=False,
        )
        url = httpx.URL(api_url)
        self._name = f"IPFS_API_URL: Kubo at {url.host}:{url.port or 80}"

    def put(self, cid: Cid, block: bytes) -> None:
        """Store a block.

        Raises:
            BlockCorrupt: the node returned a different CID.
            StorageUnavailable, StorageRefused: the node does not store it.
        """
        answer = self._call(
            "block/put",
            {"cid-codec": CODEC_NAMES[cid.codec], "mhtype": "sha2-256", "pin": "false"},
            block,
        )
        try:
            key = httpx.Response(200, content=answer).json()["Key"]
        except (ValueError, KeyError, TypeError):
            self._refuse("block/put", f"answered {answer[:200]!r} without a Key")
        if key != str(cid):
            raise BlockCorrupt(f"{self._name} stored {cid} as {str(key)[:80]!r}; check that node")

    def get(self, cid: Cid, within_s: float = math.inf) -> bytes:
        """Read a block from the node, which searches the network if it does not have the block.

        Args:
            within_s: time limit in seconds, if it is below the store's own limit.

        Raises:
            BlockMissing: the node did not find the block in time.
            BlockTooLarge: the block exceeds the size limit.
            StorageUnavailable, StorageRefused: the node does not give the block.
        """
        return self._call("block/get", {"arg": str(cid)}, cid=cid, within_s=within_s)

    def keep(self, root: Cid) -> None:
        """Pin a root and all blocks under it. Raises the errors of `get`."""
        self._call("pin/add", {"arg": str(root), "recursive": "true"}, cid=root)

    def _call(
        self,
        path: str,
        params: dict[str, str],
        block: bytes | None = None,
        cid: Cid | None = None,
        within_s: float = math.inf,
    ) -> bytes:
        """Return the answer of an API endpoint. `cid` is the block that the request is about."""
        timeout_s = min(self._timeout_s, within_s)
        params = params | {"timeout": f"{timeout_s:.3f}s"}
        # The client's own timeout restarts with each piece of an answer, so this bounds the whole.
        give_up_at = time.monotonic() + timeout_s + MARGIN_S
        files = None if block is None else {"data": ("block", block, "application/octet-stream")}
        body = bytearray()
        try:
            with self._client.stream(
                "POST", path, params=params, files=files, timeout=timeout_s + MARGIN_S
            ) as response:
                for piece in response.iter_bytes():
                    body += piece
                    if len(body) > MAX_BLOCK_BYTES:
                        raise BlockTooLarge.of(cid or path)
                    if time.monotonic() > give_up_at:
                        raise httpx.ReadTimeout("the answer arrives too slowly")
        except httpx.TimeoutException as error:
            raise StorageUnavailable(
                f"{self._name} did not answer {path} within {timeout_s + MARGIN_S:.3g} s;"
                " check the node, or raise IPFS_TIMEOUT_S"
            ) from error
        except httpx.HTTPError as error:
            raise StorageUnavailable(
                f"{self._name} cannot be reached for {path} ({type(error).__name__}: {error});"
                " start the node, or correct the URL"
            ) from error
        if response.status_code != 200:
            self._explain(
                path, response.status_code, bytes(body[:_MAX_ERROR_BYTES]), cid, timeout_s
            )
        return bytes(body)

    def _explain(
        self, path: str, status: int, body: bytes, cid: Cid | None, timeout_s: float
    ) -> NoReturn:
        """Raise the error that a failed request's answer means."""
        message = _message(body)
        too_late = any(words in message.lower() for words in _TOO_LATE)
        if cid is not None and any(words in message.lower() for words in _NOT_FOUND):
            raise BlockMissing(f"{cid}: {self._name} does not have it; put it there first")
        if cid is not None and too_late:
            raise BlockMissing(
                f"{cid}: {self._name} found no node that has it within {timeout_s:.3g} s;"
                " put it there first"
            )
        if too_late or status in (502, 503, 504):
            raise StorageUnavailable(
                f"{self._name} is not available for {path} (HTTP {status} {message!r});"
                " check the node"
            )
        self._refuse(path, f"refused: HTTP {status} {message!r}")

    def _refuse(self, path: str, what: str) -> NoReturn:
        raise StorageRefused(
            f"{self._name}, {path}: {what}; give the URL and password of a node's RPC API"
        )


def _message(body: bytes) -> str:
    """Return the message in an error's body: Kubo's `Message`, or the whole text."""
    try:
        return str(httpx.Response(200, content=body).json()["Message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip()
