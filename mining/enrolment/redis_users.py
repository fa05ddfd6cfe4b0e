"""Manages the miners' Redis users. Each user can access its own mailbox and nothing else."""

import json
import logging
import secrets
from urllib.parse import quote, urlsplit, urlunsplit

import redis
from django.conf import settings
from eth_utils.address import is_address
from redis.lock import Lock

from chain.deployed.contracts import deployment
from mining import catalog
from mining.errors import MiningError
from mining.node.protocol.job import NetworkFacts
from mining.node.protocol.names import FACTS_KEY, REPORTS_KEY, mailbox_prefix

logger = logging.getLogger(__name__)

_USER_PREFIX = "miner_"
_COMMANDS = (
    "-@all",
    # The connection itself.
    "+auth",
    "+hello",
    "+ping",
    "+echo",
    "+reset",
    "+time",
    # Reports, answer streams, and the network's facts.
    "+xadd",
    "+xrange",
    "+xlen",
    "+expire",
    "+pexpire",
    "+get",
    "+exists",
    # A Celery worker's queues, and the messages that it has not acknowledged.
    "+llen",
    "+lpush",
    "+rpush",
    "+lpop",
    "+rpop",
    "+brpop",
    "+set",
    "+del",
    "+evalsha",
    "+hset",
    "+hget",
    "+hdel",
    "+hlen",
    "+sadd",
    "+srem",
    "+smembers",
    "+scard",
    "+zadd",
    "+zrem",
    "+zrange",
    "+zrevrangebyscore",
    "+zcard",
    "+multi",
    "+exec",
    "+discard",
    "+watch",
    "+unwatch",
)
"""The Redis commands that a miner may use.

Redis has one thread and one memory for all users. So the list excludes commands that turn a small
request into much memory (SETRANGE, COPY, XGROUP, …), that run long, or that show other users' data.
"""
_KEYS = (
    REPORTS_KEY,
    "stream:*",
    FACTS_KEY,
    "inference*",
    "control*",
    "network_tasks*",
    "unacked*",
    "_kombu.binding*",
)
"""The keys of a mailbox. A queue's pattern also matches its priority queues."""


class NoSuchAddress(MiningError):
    """The text is not an account's address."""


def enrol(address: str) -> str:
    """Create a miner's Redis user and return its REDIS_URL, which is not stored anywhere.

    A further call changes the password and closes the miner's open connections.

    Raises:
        NoSuchAddress: `address` is not 0x and 40 hex digits.
    """
    if not is_address(address):
        raise NoSuchAddress(
            f"address: {address!r} is not an account's address; give 0x and 40 hex digits"
        )
    password = secrets.token_urlsafe(32)
    prefix = mailbox_prefix(address)
    with _client() as client:
        client.execute_command(
            "ACL",
            "SETUSER",
            user_name(address),
            "reset",
            "on",
            f">{password}",
            "resetchannels",
            *(f"~{prefix}{name}" for name in _KEYS),
            *_COMMANDS,
        )
        # A Celery worker runs only this script, to release a lock. A miner cannot load scripts.
        client.script_load(Lock.LUA_RELEASE_SCRIPT)
        client.set(prefix + FACTS_KEY, json.dumps(_facts().to_json()))
        client.execute_command("CLIENT", "KILL", "USER", user_name(address))
    return _url_for(user_name(address), password)


def revoke(address: str) -> None:
    """Delete a miner's Redis user and its mailbox, and close its connections."""
    with _client() as client:
        client.acl_deluser(user_name(address))
        keys = list(client.scan_iter(match=mailbox_prefix(address) + "*", count=1000))
        if keys:
            client.unlink(*keys)


def enrolled() -> list[str]:
    """Return the addresses of all miners that have a mailbox, in lower case."""
    with _client() as client:
        users = client.acl_users()
    return sorted(
        name.removeprefix(_USER_PREFIX) for name in users if name.startswith(_USER_PREFIX)
    )


def user_name(address: str) -> str:
    """Return the name of a miner's Redis user."""
    return _USER_PREFIX + address.lower()


def _facts() -> NetworkFacts:
    """Return what a node has to know of the network: its signing domain and the models' digests."""
    network = deployment()
    digests = {}
    for model_identifier in settings.MODELS:
        try:
            digests[model_identifier] = catalog.model_digest(model_identifier)
        except LookupError as error:
            logger.warning("nodes do not get the digest of a model: %s", error)
    return NetworkFacts(
        chain_id=network.chain_id, node_pool=network.addresses["NodePool"], models=digests
    )


def _client() -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL, decode_responses=True)


def _url_for(user: str, password: str) -> str:
    parts = urlsplit(settings.REDIS_PUBLIC_URL or settings.REDIS_URL)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user)}:{quote(password)}@{host}"))
