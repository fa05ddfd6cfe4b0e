"""One HTTP request with a message, without redirects or proxies and with a short timeout."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import certifi
import httpcore

from chain.version import VERSION
from sessions.webhooks.addresses import CheckedBackend, Unreachable

PATIENCE_S = 10.0
"""Seconds from the DNS query to the end of the answer's headers."""


@dataclass(frozen=True)
class ReceiverAnswer:
    """A receiver's status code, or why there is none. The body of its answer is not read."""

    status: int | None
    problem: str = ""

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


async def post(url: str, headers: Mapping[str, str], body: bytes) -> ReceiverAnswer:
    """Send a message. Every failure becomes a `ReceiverAnswer`."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await _post(url, headers, body)
    except Unreachable as error:
        return ReceiverAnswer(None, str(error))
    except TimeoutError:
        return ReceiverAnswer(None, f"no answer within {PATIENCE_S:g} s")
    except ssl.SSLError:
        return ReceiverAnswer(None, "the host's certificate is not valid")
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
        return ReceiverAnswer(None, f"no connection: {type(error).__name__}")
    except (httpcore.UnsupportedProtocol, ValueError, OSError) as error:
        return ReceiverAnswer(None, f"not sent: {type(error).__name__}")


async def _post(url: str, headers: Mapping[str, str], body: bytes) -> ReceiverAnswer:
    sent = {
        "content-type": "application/json",
        "user-agent": f"Cortensor-Webhooks/{VERSION}",
        "connection": "close",
        **headers,
    }
    context = ssl.create_default_context(cafile=certifi.where())
    async with (
        httpcore.AsyncConnectionPool(
            ssl_context=context, network_backend=CheckedBackend(), max_connections=1
        ) as pool,
        pool.stream("POST", url, headers=list(sent.items()), content=body) as response,
    ):
        problem = ""
        if 300 <= response.status < 400:
            problem = "a redirect, which is not followed"
        return ReceiverAnswer(response.status, problem)
