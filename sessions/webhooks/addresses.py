"""The addresses that webhooks may use: the public internet, and networks that operators allow."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

import httpcore
from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL_CHARACTERS = 2_048
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Unreachable(httpcore.ConnectError):
    """The host has no address, or has an address that webhooks may not use."""


def url_problem(url: str) -> str | None:
    """Return what is wrong with a URL that a client registers, or None.

    Host names are not resolved here. The address is checked when the router connects to it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if len(url) > MAX_URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
        return f"must be at most {MAX_URL_CHARACTERS} printable ASCII characters"
    if parts.scheme != "https" and not (parts.scheme == "http" and settings.WEBHOOK_PLAIN_HTTP):
        return "must begin with https://"
    if not host or port == 0:
        return "has no host, or no port that exists"
    if "@" in parts.netloc or parts.fragment:
        return "must have no user, password or fragment"
    literal = _literal(host)
    if literal is not None and not is_allowed(literal):
        return "is not an address on the public internet"
    return None


def is_allowed(address: Address) -> bool:
    """Return whether webhooks may connect to an address."""
    inner = _carried(address)
    if any(inner in network for network in _allowed_networks()):
        return True
    return inner.is_global and not inner.is_multicast and not inner.is_reserved


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to exactly the addresses that it has checked, without a second DNS query."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109, the interface is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await _resolve(host, port)
        refused = [address for address in addresses if not is_allowed(address)]
        if refused or not addresses:
            # Refuse the host if any address is refused: a mixed answer is a sign of an attack.
            raise Unreachable("the host is not an address on the public internet")
        problem: httpcore.NetworkError | httpcore.TimeoutException | None = None
        for address in addresses:
            try:
                return await self._inner.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                problem = error
        assert problem is not None
        raise problem

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


async def _resolve(host: str, port: int) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable("the host's name is not known") from error
    # An address with a scope id ("%eth0") is a link-local one.
    return [ipaddress.ip_address(str(entry[4][0])) for entry in found]


def _literal(host: str) -> Address | None:
    if host == "localhost" or host.endswith(".localhost"):
        return ipaddress.ip_address("127.0.0.1")
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:  # forms such as 2130706433 and 0x7f.1, which resolvers accept as addresses
        return ipaddress.ip_address(socket.inet_aton(host))
    except OSError:
        return None


def _carried(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 address, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    carried = address.ipv4_mapped or address.sixtofour
    if carried is None and address.teredo is not None:
        carried = address.teredo[1]
    if carried is None and address in _NAT64:
        carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return carried or address


def _allowed_networks() -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(network) for network in settings.WEBHOOK_ALLOWED_NETWORKS]
