"""Notifications of new blocks: a WebSocket subscription if the endpoint has one, polling otherwise.

A notification only says that it is time to look. The blocks themselves are read over HTTP, with
`chain.rpc.client`.
"""

import contextlib
import json
import logging
import time
from urllib.parse import urlsplit, urlunsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

POLL_S = 0.3
"""The wait between two looks without a subscription."""
SAFETY_POLL_S = 2.0
"""The longest wait with a subscription, which may have ended without notice."""
OPEN_TIMEOUT_S = 3.0
TRY_AGAIN_S = 60.0

logger = logging.getLogger(__name__)


class HeadWatch:
    """Waits for the next head of the chain."""

    def __init__(self, url: str) -> None:
        self._url = websocket_url(url)
        self._host = urlsplit(url).hostname or "?"
        self._socket: ClientConnection | None = None
        self._opened = contextlib.ExitStack()
        """Closes the socket."""
        self._try_at = 0.0

    def wait(self) -> None:
        """Return when there is a new head, or after a limited time without one."""
        if self._socket is None and time.monotonic() >= self._try_at:
            self._subscribe()
        if self._socket is None:
            time.sleep(POLL_S)
            return
        try:
            self._socket.recv(timeout=SAFETY_POLL_S)
            while True:  # read all queued heads: one look covers them all
                self._socket.recv(timeout=0)
        except TimeoutError:
            return
        except (WebSocketException, OSError) as error:
            self._give_up(error)

    def close(self) -> None:
        """End the subscription."""
        self._socket = None
        with contextlib.suppress(WebSocketException, OSError):
            self._opened.close()

    def _subscribe(self) -> None:
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
        try:
            self._socket = self._opened.enter_context(
                connect(self._url, open_timeout=OPEN_TIMEOUT_S, close_timeout=1)
            )
            self._socket.send(json.dumps(request))
            answer = json.loads(self._socket.recv(timeout=OPEN_TIMEOUT_S))
            if "result" not in answer:
                raise OSError("the endpoint refused the subscription")
        except (WebSocketException, OSError, TimeoutError, ValueError) as error:
            self._give_up(error)
            return
        logger.info("%s sends new heads", self._host)

    def _give_up(self, error: Exception) -> None:
        # Log only the type of the error: its text may contain the URL, and the URL a key.
        logger.info(
            "%s offers no subscription to heads (%s); polling it instead",
            self._host,
            type(error).__name__,
        )
        self.close()
        self._try_at = time.monotonic() + TRY_AGAIN_S


def websocket_url(url: str) -> str:
    """Return the WebSocket URL of an HTTP endpoint: the same URL with scheme `ws` or `wss`."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return urlunsplit(parts._replace(scheme=scheme))
