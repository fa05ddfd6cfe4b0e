"""The TCP ports of the network on this machine."""

import os
import socket
from dataclasses import dataclass


class PortInUse(RuntimeError):
    """Another process uses a port that a part needs."""

    def __init__(self, part: str, port: int, variable: str) -> None:
        super().__init__(
            f"port {port} for {part} is in use by another process; "
            f"stop that process or choose another port with {variable}=<port>"
        )


@dataclass(frozen=True)
class Ports:
    """The port of each part. 0 lets the kernel choose."""

    router: int = 5010
    redis: int = 5011
    chain: int = 8545

    @classmethod
    def from_environment(cls) -> "Ports":
        """Return the defaults, overridden by ROUTER_PORT, REDIS_PORT and CHAIN_PORT."""
        return cls(
            **{
                part: int(os.environ[variable])
                for part, variable in _VARIABLES.items()
                if variable in os.environ
            }
        )

    def reserve(self, parts: list[str]) -> "Ports":
        """Check that the ports of `parts` are free, and choose ports for those that are 0.

        Raises:
            PortInUse: a port is taken. The message names the part, the port and its variable.
        """
        chosen = dict(vars(self))
        for part in parts:
            chosen[part] = _free(part, chosen[part])
        return Ports(**chosen)


_VARIABLES = {"router": "ROUTER_PORT", "redis": "REDIS_PORT", "chain": "CHAIN_PORT"}


def _free(part: str, port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise PortInUse(part, port, _VARIABLES[part]) from None
        return int(probe.getsockname()[1])
