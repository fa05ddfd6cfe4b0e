"""Word of new blocks: a subscription over WebSocket where the endpoint has it, or a short wait.

It only says that it is time to look. What there is to see comes by HTTP, from `chain.rpc.client`.
"""

import contextlib
import json
import logging
import time
from urllib.parse import urlsplit, urlunsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

POLL_S = 0.3
"""How long to wait without a subscription."""
SAFETY_POLL_S = 2.0
"""How long to wait with one, which may have died without a word."""
OPEN_TIMEOUT_S = 3.0
TRY_AGAIN_S = 60.0

logger = logging.getLogger(__name__)


class HeadWatch:
    """Waits for the next head."""

    def __init__(self, url: str) -> None:
        self._url = websocket_url(url)
        self._host = urlsplit(url).hostname or "?"
        self._socket: ClientConnection | None = None
        self._opened = contextlib.ExitStack()
        """Ends what was opened for the socket."""
        self._try_at = 0.0

    def wait(self) -> None:
        """Return when there is a new head, or when it is time to look anyway."""
        if self._socket is None and time.monotonic() >= self._try_at:
            self._subscribe()
        if self._socket is None:
            time.sleep(POLL_S)
            return
        try:
            self._socket.recv(timeout=SAFETY_POLL_S)
            while True:  # many heads are one reason to look
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
                raise OSError("no subscription was granted")
        except (WebSocketException, OSError, TimeoutError, ValueError) as error:
            self._give_up(error)
            return
        logger.info("%s tells of new heads", self._host)

    def _give_up(self, error: Exception) -> None:
        # Of the error only the kind: its words may hold the URL, and the URL a key.
        logger.info(
            "%s has no subscription to heads (%s); it is asked instead",
            *(self._host, type(error).__name__),
        )
        self.close()
        self._try_at = time.monotonic() + TRY_AGAIN_S


def websocket_url(url: str) -> str:
    """The address under which an HTTP endpoint has its WebSocket: the same, with `ws`."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return urlunsplit(parts._replace(scheme=scheme))
