"""TCP ports for the servers of a test: no other worker of the run has them, nor the kernel."""

import itertools
import os
import socket

from cortensor_site.stack.ports import Ports

FIRST, OF_A_WORKER = 12_000, 2_500
"""Linux hands out ports from 32,768 on, to whatever connects or binds to port 0: between looking
for such a port and a server's start, another process may have got it."""

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
_next = itertools.count(os.getpid())


def free_port() -> int:
    """A port on which nobody listens. It is given to nobody else for a long while."""
    while True:
        port = FIRST + _worker * OF_A_WORKER + next(_next) % OF_A_WORKER
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def free_ports() -> Ports:
    """One for each part of a network."""
    return Ports(router=free_port(), redis=free_port(), chain=free_port())
