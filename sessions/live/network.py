"""`/ws/network`: what happens on the network, for everybody. Stages and ids, never contents."""

import asyncio
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer

from sessions.notices import NETWORK_GROUP

SLOWEST_READ_S = 5.0
CLOSE_TOO_SLOW = 4008


class NetworkConsumer(AsyncJsonWebsocketConsumer):
    """Hands the network's notices on. What a client says is not listened to.

    A client that does not read is let go, since what waits for it would fill the memory.
    """

    groups = [NETWORK_GROUP]

    async def network_notice(self, message: dict[str, Any]) -> None:
        """A notice of `sessions.notices`."""
        try:
            async with asyncio.timeout(SLOWEST_READ_S):
                await self.send_json(message["event"])
        except TimeoutError:
            await self.close(CLOSE_TOO_SLOW)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Ignore it."""
